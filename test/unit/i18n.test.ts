import { expect, test } from 'vitest'
import { type Locale, locales, pickLocale, translator } from '../../src/http/i18n.ts'
import { problemCodes } from '../../src/problem.ts'

test.each<[string, Parameters<typeof pickLocale>, Locale]>([
  ['Japanese when nobody says anything', [undefined, undefined, undefined], 'ja'],
  ['Japanese when the header is empty', [undefined, undefined, ''], 'ja'],
  ['Japanese for languages there are no pages in', [undefined, undefined, 'fr,de;q=0.5'], 'ja'],
  ['what the browser prefers', [undefined, undefined, 'en-US,en;q=0.9,ja;q=0.8'], 'en'],
  ['the browser’s weights decide, not its order', [undefined, undefined, 'en;q=0.2,ja;q=0.9'], 'ja'],
  ['a language refused is not taken', [undefined, undefined, 'ja;q=0,en;q=0.1'], 'en'],
  ['what the relying party asked for, above the browser', [undefined, 'en', 'ja'], 'en'],
  ['the first of its languages that there is', [undefined, 'fr-CA EN-gb ja', 'ja'], 'en'],
  ['the browser’s where the relying party’s are not there', [undefined, 'fr de', 'en'], 'en'],
  ['what the reader chose, above all', ['en', 'ja', 'ja'], 'en'],
  ['nothing chosen that there is not', ['xx', 'en', 'ja'], 'en'],
  ['nothing odd', ['__proto__', 'constructor', '*;q=x,,;'], 'ja'],
])('a page is in %s', (_, asked, locale) => {
  expect(pickLocale(...asked)).toBe(locale)
})

test('a message that does not exist is a bug and not an empty place on a page', () => {
  expect(() => translator('en')('problem.no_such_problem.title')).toThrow(
    /no message problem.no_such_problem.title in en/,
  )
})

test('a value in a message is text, never part of the message or of the page', () => {
  const t = translator('en')
  const name = `<b>{x}</b> '{' #`
  expect(t('sign_in.for_client', { name })).toContain(name)
})

test('every problem can be told in every language with the values it has', () => {
  for (const locale of locales)
    for (const code of problemCodes)
      for (const part of ['title', 'detail'])
        expect(translator(locale)(`problem.${code}.${part}`, { minutes: 1 })).not.toBe('')
})
