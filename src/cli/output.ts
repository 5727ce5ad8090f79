/**
 * What is written for a reader: a table or text, or with `--json` one JSON value and nothing else. Both go to standard
 * output; whatever went wrong goes to standard error.
 */
export function print(asJson: boolean | undefined, value: unknown, text: string): void {
  console.log(asJson ? JSON.stringify(value, null, 2) : text)
}

/** Stored and foreign text as a terminal may show it: control and format characters could rewrite what stands around. */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '\ufffd')
}

/** Columns under their headings, as wide as their widest cell; `whenEmpty` stands in for a table without rows. */
export function table(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  whenEmpty: string,
): string {
  if (rows.length === 0) return whenEmpty
  const lines = [headings.map((heading) => heading.toUpperCase()), ...rows.map((row) => row.map(plain))]
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => columnsOf(line[column] ?? ''))))
  return lines
    .map((line) =>
      line
        .map((cell, column) => pad(cell, widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** One line for each part that has a value: its label, then the value, or one value a line. */
export function details(parts: readonly (readonly [label: string, value: Detail])[]): string {
  const width = Math.max(...parts.map(([label]) => columnsOf(label)))
  return parts
    .flatMap(([label, value]) => {
      const values = typeof value === 'string' ? [value] : (value ?? [])
      return values.map((text, index) => `${pad(index === 0 ? label : '', width)}  ${plain(text)}`)
    })
    .join('\n')
}
type Detail = string | readonly string[] | undefined

/** A moment for people, in UTC; machines get the ISO form. */
export function moment(date: Date): string {
  return `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

const pad = (text: string, width: number) => text + ' '.repeat(Math.max(0, width - columnsOf(text)))

/** Japanese and other full-width characters take two columns of a terminal (Unicode Standard Annex 11). */
function columnsOf(text: string): number {
  return [...text.normalize('NFC')].reduce((width, character) => width + (isWide.test(character) ? 2 : 1), 0)
}
const isWide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u
