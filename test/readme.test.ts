import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { settings } from '../src/config/settings.ts'
import { read, root } from './support/source.ts'

/** The settings as the README has to list them, in the order of src/config/settings.ts. */
function settingsTable(): string {
  const rows = Object.entries(settings).map(([name, schema]) => {
    const description = (schema.description ?? '').replaceAll('|', '\\|')
    return `| \`${name}\` | ${defaultOf(schema)} | ${description} |`
  })
  return ['| name | default | what it is |', '|---|---|---|', ...rows].join('\n')
}

/** In backquotes; a setting without a default, or with an empty list, has an empty cell. */
function defaultOf(schema: (typeof settings)[keyof typeof settings]): string {
  const value: unknown = schema.safeParse(undefined).data
  const text = Array.isArray(value) ? value.join(',') : String(value ?? '')
  return text === '' ? '' : `\`${text}\``
}

test('every setting says what it is', () => {
  expect(Object.entries(settings).filter(([, schema]) => !schema.description)).toEqual([])
})

test('the README lists every setting as it is', () => {
  expect(existsSync(join(root, 'README.md')), 'README.md').toBe(true)
  const table = /^\| name \| default \|.*(\n\|.*)*/m.exec(read('README.md'))?.[0]
  expect(table, `the table is to be:\n\n${settingsTable()}\n`).toBe(settingsTable())
})
