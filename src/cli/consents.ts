import { createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Command } from 'commander'
import { findConnection } from '../connections/connection.ts'
import { type Evidence, readEvidence } from '../linking/consent/evidence.ts'
import { requireRenewals } from '../linking/consent/renewal.ts'
import { newTerms, publishTerms } from '../linking/consent/terms.ts'
import { inTransaction, isUniqueViolation } from '../store/db.ts'
import { addCommand, type Json, readText } from './command.ts'
import { type Surroundings, withContext } from './context.ts'
import { toMoment } from './moment.ts'
import { moment, plain, print, table } from './output.ts'
import { faultsByOption, Refusal, wrongUsage } from './refusal.ts'

export function addConsents(program: Command, surroundings: Surroundings): void {
  const consents = program
    .command('consents')
    .description('What members agreed to when they linked accounts, and the terms they are asked under.')
  addPublish(consents, surroundings)
  addCommand(consents, 'terms', 'List the versions of the terms of a connection.', [
    'hitotsu consents terms line',
  ])
    .argument('<connection>', 'the connection')
    .action((id: string, options: Json) => listTerms(id, options, surroundings))
  addCommand(
    consents,
    'review',
    'Mark agreements that ran out or no longer cover the link; a server does so every ten minutes.',
    ['hitotsu consents review'],
  ).action((options: Json) => review(options, surroundings))
  addCommand(
    consents,
    'export',
    'Write the evidence: one JSON value a line, as it was shown and agreed to.',
    [
      'hitotsu consents export > consents.jsonl',
      'hitotsu consents export --connection line --from 2027-01-01 --out line.jsonl',
      'hitotsu consents export --member 0b5c... | jq \'select(.state == "given")\'',
    ],
  )
    .option('--connection <id>', 'of this connection alone')
    .option('--member <id>', 'of this member alone')
    .option(
      '--from <moment>',
      'agreed to at this moment or later: 2027-01-01 (in Japan) or 2027-01-01T09:00+09:00',
      toMoment,
    )
    .option('--to <moment>', 'agreed to before this moment', toMoment)
    .option('--out <path>', 'the file to write (default: standard output)')
    .action((options: ExportOptions) => exportEvidence(options, surroundings))
}

function addPublish(consents: Command, surroundings: Surroundings): void {
  addCommand(
    consents,
    'publish-terms',
    'Put new terms of a connection in force. They are never changed afterwards.',
    [
      'hitotsu consents publish-terms line --version 2027-01 --text-ja-file terms.ja.txt --text-en-file terms.en.txt',
      'hitotsu consents publish-terms line --version 2027-01b --text-ja-file ja.txt --text-en-file en.txt --minor',
    ],
  )
    .argument('<connection>', 'the connection')
    .requiredOption('--version <version>', 'what the evidence calls them')
    .requiredOption('--text-ja-file <path>', 'the terms in Japanese, as plain text; - for standard input')
    .requiredOption('--text-en-file <path>', 'the terms in English')
    .option('--consent-days <days>', 'how long an agreement lasts (default: until it is ended)', Number)
    .option('--from <moment>', 'when they come into force (default: now)', toMoment)
    .option('--minor', 'do not ask those again who agreed to what was before')
    .action((id: string, options: PublishOptions) => publish(id, options, surroundings))
}

interface PublishOptions extends Json {
  version: string
  textJaFile: string
  textEnFile: string
  consentDays?: number
  from?: Date
  minor?: boolean
}

async function publish(
  connectionId: string,
  options: PublishOptions,
  surroundings: Surroundings,
): Promise<void> {
  const { version, textJaFile, textEnFile, consentDays, from, minor = false } = options
  const [ja, en] = await Promise.all([readText(textJaFile), readText(textEnFile)]).catch((cause: Error) => {
    throw new Refusal(`the terms: ${cause.message}`, undefined, cause)
  })
  await withContext(surroundings, async ({ db, now }) => {
    const input = {
      connectionId,
      version,
      text: { ja, en },
      consentDays,
      asksAnew: !minor,
      publishedAt: from ?? now,
    }
    const terms = newTerms.safeParse(input)
    if (!terms.success) throw wrongUsage(faultsByOption(terms.error, input, termsOptions))
    if (!(await findConnection(db, connectionId)))
      throw new Refusal(`there is no connection ${plain(connectionId)}`)
    await inTransaction(db, (tx) => publishTerms(tx, terms.data, now)).catch((error: unknown) => {
      if (!isUniqueViolation(error)) throw error
      throw new Refusal(`${plain(connectionId)} has terms ${plain(version)} already`, undefined, error)
    })
    const marked = await requireRenewals(db, now)
    const { publishedAt } = terms.data
    const when = publishedAt > now ? `come into force at ${moment(publishedAt)}` : 'are in force'
    const text = `The terms ${plain(version)} of ${plain(connectionId)} ${when}. Members to be asked again: ${marked}.`
    print(options.json, { connectionId, version, publishedAt, asksAnew: !minor, marked }, text)
  })
}

const termsOptions = {
  version: '--version',
  'text.ja': 'the Japanese terms',
  'text.en': 'the English terms',
  consentDays: '--consent-days',
}

function listTerms(connectionId: string, { json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, now }) => {
    const rows = await db.connectionTerms.findMany({
      where: { connectionId },
      orderBy: { publishedAt: 'desc' },
    })
    const current = rows.find(({ publishedAt }) => publishedAt <= now)
    const state = (row: (typeof rows)[number]) =>
      row === current ? 'in force' : row.publishedAt > now ? 'to come' : 'followed'
    const lines = rows.map((row) => [
      ...[row.version, moment(row.publishedAt), row.consentDays === null ? '' : String(row.consentDays)],
      ...[row.asksAnew ? 'yes' : 'no', state(row)],
    ])
    const none = 'This connection has no terms of its own: members agree under the terms of the service.'
    print(json, rows, table(['version', 'from', 'consent days', 'asks anew', 'state'], lines, none))
  })
}

function review({ json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, now }) => {
    const marked = await requireRenewals(db, now)
    print(json, { marked }, `Agreements that have to be given anew, and were not marked before: ${marked}.`)
  })
}

interface ExportOptions extends Json {
  connection?: string
  member?: string
  from?: Date
  to?: Date
  out?: string
}

function exportEvidence(options: ExportOptions, surroundings: Surroundings): Promise<void> {
  const { connection: connectionId, member: memberId, from, to, out } = options
  return withContext(surroundings, async ({ db, now }) => {
    const evidence = readEvidence(db, { connectionId, memberId, from, to }, now)
    // For its owner alone: it names people, their addresses and what they agreed to.
    const target = out === undefined ? process.stdout : createWriteStream(out, { mode: 0o600 })
    await pipeline(Readable.from(lines(evidence)), target, { end: out !== undefined })
  })
}

async function* lines(evidence: AsyncIterable<Evidence>): AsyncGenerator<string> {
  for await (const one of evidence) yield `${JSON.stringify(one)}\n`
}
