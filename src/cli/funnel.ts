import { type Command, InvalidArgumentError, Option } from 'commander'
import { findConnection } from '../connections/connection.ts'
import { type Funnel, type FunnelQuestion, readFunnel } from '../linking/funnel/funnel.ts'
import type { Share } from '../linking/funnel/rate.ts'
import {
  dayOf,
  daysBetween,
  type FunnelRow,
  type Grouping,
  groupings,
  steps,
} from '../linking/funnel/steps.ts'
import { addCommand, type Json } from './command.ts'
import { type Surroundings, withContext } from './context.ts'
import { csvLine } from './csv.ts'
import { plain, print, table } from './output.ts'
import { Refusal, wrongUsage } from './refusal.ts'

export function addFunnel(program: Command, surroundings: Surroundings): void {
  addCommand(program, 'funnel', 'How far links get, and which share of the members is linked.', [
    'hitotsu funnel --connection line',
    'hitotsu funnel --connection line --from 2027-04-01 --to 2027-04-30 --by campaign',
    'hitotsu funnel --connection line --client shop --csv > shop.csv',
  ])
    .requiredOption('--connection <id>', 'the connection')
    .option('--from <day>', 'the first day, in Japan time (default: 29 days before --to)', toDay)
    .option('--to <day>', 'the last day (default: today)', toDay)
    .addOption(
      new Option('--by <what>', 'what is counted apart').choices(groupings).default('day' satisfies Grouping),
    )
    .option('--client <id>', 'only what came by this client, and the share among its members')
    .addOption(new Option('--csv', 'print CSV instead of text').conflicts('json'))
    .action((options: FunnelOptions) => funnel(options, surroundings))
}

interface FunnelOptions extends Json {
  connection: string
  from?: string
  to?: string
  by: Grouping
  client?: string
  csv?: boolean
}

/** A year and a day, so that a year can be compared with the one before. */
const maxDays = 366

function toDay(text: string): string {
  const time = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN
  if (!Number.isNaN(time) && new Date(time).toISOString().startsWith(text)) return text
  throw new InvalidArgumentError('Give a day: 2027-04-01.')
}

function funnel(options: FunnelOptions, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, now }) => {
    const question = toQuestion(options, now)
    const { connectionId, clientId } = question
    if (!(await findConnection(db, connectionId)))
      throw new Refusal(`--connection ${plain(connectionId)}: there is no such connection`)
    if (clientId !== undefined && !(await db.client.findUnique({ where: { id: clientId } })))
      throw new Refusal(`--client ${plain(clientId)}: there is no such client`)
    const answer = await readFunnel(db, question, now)
    if (options.csv) process.stdout.write(toCsv(question.by, answer).map(csvLine).join(''))
    else print(options.json, { ...question, ...answer }, toText(question, answer))
  })
}

function toQuestion(options: FunnelOptions, now: Date): FunnelQuestion {
  const to = options.to ?? dayOf(now)
  const from = options.from ?? dayOf(new Date(Date.parse(`${to}T00:00:00Z`) - 29 * 86_400_000))
  const days = daysBetween(from, to).length
  if (days < 1) throw wrongUsage([`--to ${to}: must not be before --from ${from}`])
  if (days > maxDays) throw wrongUsage([`--from ${from}: at most ${maxDays} days before --to ${to}`])
  return { connectionId: options.connection, from, to, by: options.by, clientId: options.client }
}

const withoutKey = { day: '-', client: '(none)', campaign: '(none)', way: '(unknown)' }

function toText({ by, connectionId, from, to }: FunnelQuestion, { rows, total, share }: Funnel): string {
  const headings = [by, ...steps, 'members', 'share']
  const lines = rows.map((row) => [
    row.key || withoutKey[by],
    ...steps.map((step) => String(row[step])),
    ...(row.share ? [`${row.share.linked}/${row.share.members}`, percent(row.share)] : ['', '']),
  ])
  const sum = ['total', ...steps.map((step) => String(total[step])), '', '']
  return [
    `${plain(connectionId)}, ${from} to ${to} (days in Japan)`,
    `Linked now: ${share.linked} of ${share.members} members, ${percent(share)}`,
    '',
    table(headings, rows.length > 0 ? [...lines, sum] : [], 'Nothing happened in these days.'),
  ].join('\n')
}

/** The share as a number between 0 and 1, for what reckons on with it. */
function toCsv(by: Grouping, { rows }: Funnel): (string | number)[][] {
  const shares = (row: FunnelRow & { share?: Share | undefined }) =>
    row.share ? [row.share.linked, row.share.members, rate(row.share).toFixed(4)] : ['', '', '']
  return [
    [by, ...steps, 'members_linked', 'members', 'link_rate'],
    ...rows.map((row) => [row.key, ...steps.map((step) => row[step]), ...shares(row)]),
  ]
}

const rate = ({ linked, members }: Share) => (members === 0 ? 0 : linked / members)
const percent = (share: Share) => `${(100 * rate(share)).toFixed(1)} %`
