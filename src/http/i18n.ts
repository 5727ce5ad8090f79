import { readFileSync } from 'node:fs'
import { IntlMessageFormat } from 'intl-messageformat'
import Negotiator from 'negotiator'
import { z } from 'zod'

export const locales = ['ja', 'en'] as const
export type Locale = (typeof locales)[number]
/** A name in every language: a page shows the one of its own. */
export const localizedName = z.object({ ja: z.string().min(1).max(60), en: z.string().min(1).max(60) })
export type LocalizedName = z.infer<typeof localizedName>

export type MessageParams = Record<string, string | number | Date>

/** A message in the reader's language, as plain text: the view escapes it. An unknown key is a bug and throws. */
export type Translate = (key: string, params?: MessageParams) => string

export function translator(locale: Locale): Translate {
  return translators[locale]
}

const translators = { ja: translatorOf('ja'), en: translatorOf('en') } satisfies Record<Locale, Translate>

function translatorOf(locale: Locale): Translate {
  const catalog = loadCatalog(locale)
  return (key, params) => {
    const message = catalog.get(key)
    if (!message) throw new Error(`no message ${key} in ${locale}`)
    return String(message.format(params))
  }
}

/**
 * The language of a page: what the reader chose before, else what the relying party asked for (ui_locales, OpenID
 * Connect Core 3.1.2.1), else what the browser prefers, else Japanese.
 */
export function pickLocale(
  chosen: string | undefined,
  uiLocales: string | undefined,
  acceptLanguage: string | undefined,
): Locale {
  const asked = (uiLocales ?? '').split(' ').map(toLocale).find(Boolean)
  const preferred = new Negotiator({ headers: { 'accept-language': acceptLanguage } }).languages([
    ...locales,
  ])[0]
  return toLocale(chosen) ?? asked ?? toLocale(preferred) ?? 'ja'
}

export function toLocale(tag: string | undefined): Locale | undefined {
  const language = tag?.split('-')[0]?.toLowerCase()
  return locales.find((locale) => locale === language)
}

/** Catalogs are trees in JSON; keys are their paths: `sign_in.title`. Messages are ICU MessageFormat; tags are plain text. */
function loadCatalog(locale: Locale): Map<string, IntlMessageFormat> {
  const text = readFileSync(new URL(`../../views/locales/${locale}.json`, import.meta.url), 'utf8')
  const entries = flatten(JSON.parse(text), '')
  return new Map(
    entries.map(([key, message]) => [
      key,
      new IntlMessageFormat(message, locale, undefined, { ignoreTag: true }),
    ]),
  )
}

function flatten(tree: Record<string, unknown>, prefix: string): [string, string][] {
  return Object.entries(tree).flatMap(([name, value]) =>
    typeof value === 'string'
      ? [[`${prefix}${name}`, value] as [string, string]]
      : flatten(value as Record<string, unknown>, `${prefix}${name}.`),
  )
}
