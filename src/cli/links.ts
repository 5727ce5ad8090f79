import { once } from 'node:events'
import { createWriteStream, type WriteStream } from 'node:fs'
import type { Command } from 'commander'
import { findConnection } from '../connections/connection.ts'
import { addStatedLink, type StatedOutcome, statedLink } from '../linking/management/add-link.ts'
import {
  type LinkRow,
  type ListedLink,
  readLinkRows,
  UnreadableList,
} from '../linking/management/link-rows.ts'
import { findEmail } from '../members/contact-point.ts'
import type { Db } from '../store/db.ts'
import { addCommand, type Json } from './command.ts'
import { type Surroundings, withContext } from './context.ts'
import { csvLine } from './csv.ts'
import { plain, print } from './output.ts'
import { exitCode, Refusal } from './refusal.ts'

const format = `
The file is CSV in UTF-8 or CP932 with these headings, in any order:
  member_id or member_email   who it is linked to
  subject                     the account's identifier at the connection's issuer
  agreed_at, terms_version    when the member agreed, and to which terms
  name, email                 what the account is called there (may be left out)`

export function addLinks(program: Command, surroundings: Surroundings): void {
  const links = program.command('links').description('Links of upstream accounts to members.')
  addCommand(
    links,
    'import',
    'Link what is listed in a file, on the statement that the members agreed. Can be run again.',
    [
      'hitotsu links import line --file links.csv --dry-run --statement "Agreed in the former members\' site"',
      'hitotsu links import line --file links.csv --refused refused.csv --statement "Agreed in the former members\' site"',
    ],
  )
    .argument('<connection>', 'the connection the accounts are of')
    .requiredOption('--file <path>', 'the list')
    .requiredOption(
      '--statement <words>',
      'where and how the members agreed: kept as evidence, shown to them',
    )
    .option('--dry-run', 'change nothing, and say what would happen')
    .option('--refused <path>', 'write each line that was refused, with its reason, to this file')
    .addHelpText('after', format)
    .action((id: string, options: ImportOptions) => importLinks(id, options, surroundings))
}

interface ImportOptions extends Json {
  file: string
  statement: string
  dryRun?: boolean
  refused?: string
}

/** How many lines ended how. What is neither of the first two was refused. */
type Counts = Record<string, number>

function importLinks(
  connectionId: string,
  options: ImportOptions,
  surroundings: Surroundings,
): Promise<void> {
  const { file, statement, dryRun = false, refused } = options
  if (!statedLink.shape.statement.safeParse(statement).success)
    throw new Refusal('--statement: 1 to 500 characters', exitCode.usage)
  return withContext(surroundings, async ({ db, sealer, now }) => {
    if (!(await findConnection(db, connectionId)))
      throw new Refusal(`there is no connection ${plain(connectionId)}`)
    const deps = { db, vault: { sealer: await sealer() } }
    const report = refused === undefined ? undefined : createWriteStream(refused, { mode: 0o600 })
    report?.write(csvLine(['line', 'reason']))
    const counts: Counts = { linked: 0, already_linked: 0 }
    const link = (row: ListedLink) =>
      linkRow(deps, { row, connectionId, statement, dryRun }, now).catch((error: unknown) => {
        throw new Refusal(`stopped; run it again to go on: ${error}`, undefined, error)
      })
    try {
      for await (const rows of windows(readLinkRows(file), rowsAtOnce)) {
        const outcomes = await Promise.all(rows.map((row) => (row.ok ? link(row.link) : 'invalid_line')))
        for (const [index, row] of rows.entries())
          note(row, outcomes[index] ?? 'invalid_line', counts, report)
      }
    } catch (error) {
      if (error instanceof UnreadableList) throw new Refusal(error.message.split('\n'), undefined, error)
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
        throw new Refusal(`--file ${file}: there is no such file`, undefined, error)
      throw error
    } finally {
      if (report) await end(report)
    }
    print(options.json, { connectionId, dryRun, ...counts }, summary(counts, dryRun))
  })
}

/** Lines that are linked at once. */
const rowsAtOnce = 4

async function* windows<T>(items: AsyncIterable<T>, size: number): AsyncGenerator<T[]> {
  let window: T[] = []
  for await (const item of items) {
    window.push(item)
    if (window.length < size) continue
    yield window
    window = []
  }
  if (window.length > 0) yield window
}

function note(row: LinkRow, outcome: string, counts: Counts, report: WriteStream | undefined): void {
  counts[outcome] = (counts[outcome] ?? 0) + 1
  if (outcome === 'linked' || outcome === 'already_linked') return
  report?.write(csvLine([row.line, row.ok ? outcome : row.reason]))
}

async function linkRow(
  deps: Parameters<typeof addStatedLink>[0],
  {
    row,
    connectionId,
    statement,
    dryRun,
  }: { row: ListedLink; connectionId: string; statement: string; dryRun: boolean },
  now: Date,
): Promise<StatedOutcome> {
  const memberId = await memberOf(deps.db, row)
  if (!memberId) return 'account_unavailable'
  const { subject, name, email, agreed_at: agreedAt, terms_version: termsVersion } = row
  const stated = { connectionId, memberId, subject, name, email, agreedAt, termsVersion, statement }
  return addStatedLink(deps, stated, { way: 'import', dryRun }, now)
}

/** Both, where both are given, must name the same member. */
async function memberOf(
  db: Db,
  { member_id: id, member_email: email }: ListedLink,
): Promise<string | undefined> {
  if (!email) return id
  const found = (await findEmail(db, email))?.memberId
  return id && id !== found ? undefined : found
}

function summary({ linked = 0, already_linked: already = 0, ...refused }: Counts, dryRun: boolean): string {
  return [
    `${dryRun ? 'Would be linked' : 'Linked'}: ${linked}`,
    `Linked already: ${already}`,
    ...Object.entries(refused).map(([reason, number]) => `Refused, ${reason}: ${number}`),
  ].join('\n')
}

async function end(stream: WriteStream): Promise<void> {
  stream.end()
  await once(stream, 'close')
}
