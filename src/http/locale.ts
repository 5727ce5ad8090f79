import type { HttpContext } from './context.ts'
import { type Locale, pickLocale } from './i18n.ts'

export const localeCookie = 'hitotsu_locale'

/** The language of a request; `uiLocales` is what the relying party asked for. */
export function localeOf(ctx: HttpContext, uiLocales: unknown): Locale {
  return pickLocale(
    ctx.cookies.get(localeCookie),
    typeof uiLocales === 'string' ? uiLocales : undefined,
    ctx.get('Accept-Language'),
  )
}

/**
 * From here on the answer is in the language the relying party asked for (ui_locales, OpenID Connect Core 3.1.2.1),
 * unless the reader has chosen another. For pages that learn what was asked from what they have stored.
 */
export function speak(ctx: HttpContext, uiLocales: unknown): void {
  if (typeof uiLocales !== 'string') return
  ctx.state.locale = localeOf(ctx, uiLocales)
}
