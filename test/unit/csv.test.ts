import { expect, test } from 'vitest'
import { csvLine } from '../../src/cli/csv.ts'

test.each(['=HYPERLINK("https://evil.example")', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1'])(
  'a spreadsheet does not take %j for a formula',
  (text) => {
    expect(csvLine([text]).replaceAll('"', '')).toMatch(/^'/)
  },
)

test('numbers, also negative ones, stay numbers', () => {
  expect(csvLine([0, -1, 0.5])).toBe('0,-1,0.5\r\n')
})

test.each([
  ['a,b', '"a,b"\r\n'],
  ['say "hi"', '"say ""hi"""\r\n'],
  ['two\nlines', '"two\nlines"\r\n'],
  ['ポイント', 'ポイント\r\n'],
])('%j stays one cell (RFC 4180 section 2)', (text, line) => {
  expect(csvLine([text])).toBe(line)
})
