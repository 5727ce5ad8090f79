import type { Command } from 'commander'
import { officialAccountSeals } from '../connections/line-messaging/seals.ts'
import { connectionSeals } from '../connections/seals.ts'
import { noticeSeals } from '../linking/notices/seals.ts'
import { upstreamTokenSeals } from '../linking/tokens/seals.ts'
import { formerAddressSeals } from '../linking/unlink/seals.ts'
import { signingKeySeals } from '../oidc/keys/seals.ts'
import type { Sealer } from '../security/seal.ts'
import type { Db } from '../store/db.ts'
import { inspectSealed, resealColumn, type SealedColumn, type SealedState } from '../store/sealed-column.ts'
import { addCommand, type Json } from './command.ts'
import { type Surroundings, withContext } from './context.ts'
import { print, table } from './output.ts'
import { Refusal } from './refusal.ts'

const order = `
To change SECRET_KEYS while processes serve, with each step done at all of them before the next:
  1. SECRET_KEYS=old,new   they open what the new key will seal
  2. SECRET_KEYS=new,old   the new key seals
  3. hitotsu secrets reseal
  4. SECRET_KEYS=new       ten minutes later, when the last link in progress is over`

export function addSecrets(program: Command, surroundings: Surroundings): void {
  const secrets = program
    .command('secrets')
    .description('What is sealed at rest, and the keys it is sealed with (SECRET_KEYS).')
    .addHelpText('after', order)
  addCommand(secrets, 'status', 'Tell whether anything still needs another than the newest key.', [
    'hitotsu secrets status',
  ]).action((options: Json) => status(options, surroundings))
  addCommand(secrets, 'reseal', 'Seal everything with the newest key. Can be interrupted and repeated.', [
    'hitotsu secrets reseal',
  ])
    .addHelpText('after', order)
    .action((options: Json) => reseal(options, surroundings))
}

/** Everything that is sealed at rest. What is sealed in the ephemeral store is over within minutes. */
function columns(db: Db): SealedColumn[] {
  return [
    signingKeySeals(db),
    connectionSeals(db),
    officialAccountSeals(db),
    upstreamTokenSeals(db),
    noticeSeals(db),
    formerAddressSeals(db),
  ]
}

type Line = SealedState & { name: string; resealed?: number }

function status({ json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, sealer }) => {
    const lines = await inspect(db, await sealer())
    print(
      json,
      { lines, olderKeysNeeded: needsOlder(lines) },
      [sealedTable(lines), '', verdict(lines)].join('\n'),
    )
  })
}

function reseal({ json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, sealer }) => {
    const sealing = await sealer()
    const resealed = new Map<string, number>()
    for (const column of columns(db)) resealed.set(column.name, await resealColumn(column, sealing))
    const lines = (await inspect(db, sealing)).map((line) => ({
      ...line,
      resealed: resealed.get(line.name) ?? 0,
    }))
    print(
      json,
      { lines, olderKeysNeeded: needsOlder(lines) },
      [sealedTable(lines), '', verdict(lines)].join('\n'),
    )
    const lost = lines.flatMap(({ name, unreadable }) =>
      unreadable.map((id) => `${name}: no key opens ${id}`),
    )
    if (lost.length > 0) throw new Refusal(lost)
  })
}

async function inspect(db: Db, sealer: Sealer): Promise<Line[]> {
  const lines: Line[] = []
  for (const column of columns(db))
    lines.push({ name: column.name, ...(await inspectSealed(column, sealer)) })
  return lines
}

function sealedTable(lines: readonly Line[]): string {
  const headings = ['what', 'sealed', 'by an older key', 'not readable', 'resealed']
  const rows = lines.map(({ name, total, stale, unreadable, resealed }) => [
    name,
    ...[total, stale, unreadable.length, resealed ?? '-'].map(String),
  ])
  return table(headings, rows, '')
}

const needsOlder = (lines: readonly Line[]) => lines.some(({ stale }) => stale > 0)

function verdict(lines: readonly Line[]): string {
  return needsOlder(lines)
    ? 'The older keys are still needed: run `hitotsu secrets reseal`, and once more if a process still seals with one.'
    : 'The newest key opens all that is readable: ten minutes from now the older ones can be dropped from SECRET_KEYS.'
}
