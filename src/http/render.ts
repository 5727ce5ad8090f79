import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Eta } from 'eta'
import type { HttpContext } from './context.ts'
import { csrfToken } from './csrf.ts'
import type { Locale, Translate } from './i18n.ts'

const views = fileURLToPath(new URL('../../views', import.meta.url))
const eta = new Eta({ views, cache: true, autoEscape: true, autoTrim: [false, false] })
const stylesheet = readFileSync(join(views, 'assets', 'app.css'), 'utf8')

/** The stylesheet's address carries its digest, so browsers may keep it for ever. */
export const stylesheetPath = `/assets/${createHash('sha256').update(stylesheet).digest('hex').slice(0, 16)}.css`
export const stylesheetText = stylesheet

/**
 * Answers with a page: `view` is a path below views/ without its ending, `model` what that view reads as `it`.
 * Every value is escaped on its way into the page; a view that must not escape is the layout alone.
 */
export function render(ctx: HttpContext, view: string, model: Record<string, unknown> = {}): void {
  const { locale, t, nonce, session, site } = ctx.state
  ctx.type = 'text/html; charset=utf-8'
  ctx.set('Cache-Control', 'no-store')
  ctx.body = eta.render(view, {
    ...model,
    t,
    locale,
    nonce,
    site,
    stylesheetPath,
    signedIn: session !== undefined,
    path: ctx.path,
    returnTo: ctx.method === 'GET' ? ctx.url : ctx.path,
    csrf: csrfToken(ctx),
    date: (value: Date) => formatDate(locale, value),
  })
}

/** A text without a page around it, e.g. the body of a message. */
export function renderText(
  view: string,
  locale: Locale,
  t: Translate,
  model: Record<string, unknown>,
): string {
  return eta.render(view, { ...model, locale, t })
}

function formatDate(locale: Locale, value: Date): string {
  return new Intl.DateTimeFormat(locale, {
    dateStyle: 'long',
    timeStyle: 'short',
    timeZone: 'Asia/Tokyo',
  }).format(value)
}
