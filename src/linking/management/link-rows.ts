import { createReadStream } from 'node:fs'
import { pipeline, Readable } from 'node:stream'
import { parse } from 'csv-parse'
import { z } from 'zod'
import { statedLink } from './add-link.ts'

/** One line of a list of links, or what is wrong with it. Lines are counted as an editor counts them. */
export type LinkRow =
  | { line: number; ok: true; link: ListedLink }
  | { line: number; ok: false; reason: string }

const emptyAsAbsent = (text: unknown) => (text === '' ? undefined : text)
const moment = z.iso
  .datetime({ offset: true, error: 'must be a moment as in 2026-04-01T09:00:00+09:00' })
  .or(z.iso.date({ error: 'must be a date as in 2026-04-01' }))
  .transform((text) => new Date(text))

/** The columns of a list. The member is named by ID or by the address they sign in with. */
const listedLink = z.object({
  member_id: z.preprocess(emptyAsAbsent, z.uuid('is no member ID').optional()),
  member_email: z.preprocess(emptyAsAbsent, z.string().max(254).optional()),
  subject: statedLink.shape.subject,
  name: z.preprocess(emptyAsAbsent, statedLink.shape.name),
  email: z.preprocess(emptyAsAbsent, statedLink.shape.email),
  agreed_at: moment,
  terms_version: statedLink.shape.termsVersion,
})
export type ListedLink = z.infer<typeof listedLink>

const columns = Object.keys(listedLink.shape)
const required = ['subject', 'agreed_at', 'terms_version']

/** The file as a whole cannot be read as a list of links. */
export class UnreadableList extends Error {}

/**
 * Reads a list of links (RFC 4180, UTF-8 or CP932, headings in the first line) line by line, however long it is. A line
 * that cannot be used is a value with its reason; the others are read all the same.
 * @throws UnreadableList when the file cannot be decoded or its headings are not those of a list of links
 */
export async function* readLinkRows(path: string): AsyncGenerator<LinkRow> {
  const skipped: LinkRow[] = []
  const parser = parse({
    bom: true,
    columns: (headings: string[]) => checkHeadings(headings.map((text) => text.trim().toLowerCase())),
    info: true,
    trim: true,
    skip_empty_lines: true,
    skip_records_with_error: true,
    max_record_size: 65_536,
    on_skip: (error) => {
      const line = typeof error?.lines === 'number' ? error.lines : 0
      skipped.push({ line, ok: false, reason: 'has not as many cells as there are headings' })
    },
  })
  // Whatever goes wrong on the way is thrown by the loop below.
  pipeline(Readable.from(decoded(path, await encodingOf(path))), parser, () => {})
  try {
    for await (const { record, info } of parser) {
      yield* skipped.splice(0)
      yield toRow(record, info.lines)
    }
  } catch (error) {
    throw error instanceof UnreadableList ? error : new UnreadableList(String(error), { cause: error })
  }
  yield* skipped
}

function checkHeadings(headings: string[]): string[] {
  const unknown = headings.filter((name) => !columns.includes(name))
  const missing = required.filter((name) => !headings.includes(name))
  if (!headings.includes('member_id') && !headings.includes('member_email'))
    missing.push('member_id or member_email')
  const twice = headings.filter((name, index) => headings.indexOf(name) !== index)
  const faults = [
    ...missing.map((name) => `the column ${name} is missing`),
    ...unknown.map((name) => `the column ${name} is not known`),
    ...twice.map((name) => `the column ${name} is there twice`),
  ]
  if (faults.length > 0) throw new UnreadableList(faults.join('\n'))
  return headings
}

function toRow(record: unknown, line: number): LinkRow {
  const parsed = listedLink.safeParse(record)
  if (!parsed.success) {
    const reason = parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`).join('; ')
    return { line, ok: false, reason }
  }
  const { member_id: id, member_email: email } = parsed.data
  if (!id && !email) return { line, ok: false, reason: 'names no member' }
  return { line, ok: true, link: parsed.data }
}

/** UTF-8 when the whole of it is; else CP932, in which Japanese spreadsheets save. */
async function encodingOf(path: string): Promise<'utf-8' | 'shift_jis'> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  try {
    for await (const chunk of createReadStream(path)) decoder.decode(chunk, { stream: true })
    decoder.decode()
    return 'utf-8'
  } catch (error) {
    if (error instanceof TypeError) return 'shift_jis'
    throw error
  }
}

async function* decoded(path: string, encoding: string): AsyncGenerator<string> {
  const decoder = new TextDecoder(encoding, { fatal: true })
  try {
    for await (const chunk of createReadStream(path)) yield decoder.decode(chunk, { stream: true })
    yield decoder.decode()
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw new UnreadableList('the file is neither UTF-8 nor CP932', { cause: error })
  }
}
