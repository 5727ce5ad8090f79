import type { Context } from 'koa'
import Negotiator from 'negotiator'
import { en, type Text } from './text-en.ts'
import { ja } from './text-ja.ts'

export type Language = 'en' | 'ja'

export const texts: Record<Language, Text> = { en, ja }

// Cookies are shared by every port of a host, so the name must not be anyone else's.
const cookieName = 'demo_store_language'
// The shop and the engine sign cookies differently; a language needs no signature.
const cookieOptions = { sameSite: 'lax', signed: false } as const

/** The language switch wins, then what it chose before, then what the caller suggests, then the browser. */
export function languageOf(ctx: Context, uiLocales = ''): Language {
  const asked = toLanguage(String(ctx.query.lang ?? ''))
  if (asked) ctx.cookies.set(cookieName, asked, cookieOptions)
  const suggested = uiLocales.split(' ').map(toLanguage).find(Boolean)
  return (
    asked ?? toLanguage(ctx.cookies.get(cookieName, cookieOptions) ?? '') ?? suggested ?? fromBrowser(ctx)
  )
}

function toLanguage(tag: string): Language | undefined {
  const primary = tag.toLowerCase().split('-')[0]
  return primary === 'en' || primary === 'ja' ? primary : undefined
}

function fromBrowser(ctx: Context): Language {
  const negotiator = new Negotiator({ headers: { 'accept-language': ctx.get('Accept-Language') || 'en' } })
  return negotiator.language(['en', 'ja']) === 'ja' ? 'ja' : 'en'
}

export function formatPrice(language: Language, yen: number): string {
  return new Intl.NumberFormat(language, { style: 'currency', currency: 'JPY' }).format(yen)
}

export function formatTime(language: Language, time: Date): string {
  return new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' }).format(time)
}
