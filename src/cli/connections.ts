import type { Command } from 'commander'
import { enableConnection, findConnection, isDraft, listConnections } from '../connections/connection.ts'
import { disableConnectionAndSessions } from '../linking/disable-connection.ts'
import { inTransaction } from '../store/db.ts'
import { addCommand, type Json } from './command.ts'
import { addConnectionCreate } from './connection-create.ts'
import { addConnectionPresets } from './connection-presets.ts'
import { addConnectionUpdate } from './connection-update.ts'
import { type ConnectionView, connectionParts, toView } from './connection-view.ts'
import { type Surroundings, withContext } from './context.ts'
import { addMessaging } from './messaging.ts'
import { details, moment, plain, print, table } from './output.ts'
import { Refusal } from './refusal.ts'
import { testConnection } from './test-connection.ts'

export function addConnections(program: Command, surroundings: Surroundings): void {
  const connections = program
    .command('connections')
    .description('Upstream providers: where members have accounts that can be linked.')
  addConnectionPresets(connections)
  addConnectionCreate(connections, surroundings)
  addConnectionUpdate(connections, surroundings)
  addMessaging(connections, surroundings)
  addCommand(connections, 'list', 'List all connections.', [
    'hitotsu connections list',
    "hitotsu connections list --json | jq -r '.[].callbackUrl'",
  ]).action((options: Json) => list(options, surroundings))
  addCommand(connections, 'show', 'Show one connection. Its secret cannot be shown.', [
    'hitotsu connections show line',
  ])
    .argument('<id>', 'the connection')
    .action((id: string, options: Json) => show(id, options, surroundings))
  addCommand(
    connections,
    'test',
    'Say what would stand in the way, and print a link that tries it in a browser, once.',
    [
      'hitotsu connections test line',
      'hitotsu connections test store --json | jq \'.checks[] | select(.outcome != "ok")\'',
    ],
  )
    .argument('<id>', 'the connection')
    .action((id: string, options: Json) => testConnection(id, options, surroundings))
  addCommand(
    connections,
    'disable',
    'Let nobody link or sign in through it; sign out everybody who has. What is linked stays.',
    ['hitotsu connections disable line', 'hitotsu connections disable line   # was cut short: goes on'],
  )
    .argument('<id>', 'the connection')
    .action((id: string, options: Json) => disable(id, options, surroundings))
  addCommand(
    connections,
    'enable',
    'Let members link and sign in through a connection that is new or was disabled.',
    ['hitotsu connections enable line'],
  )
    .argument('<id>', 'the connection')
    .action((id: string, options: Json) => enable(id, options, surroundings))
}

function list({ json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ config, db }) => {
    const stored = await listConnections(db, { withDisabled: true })
    const all = stored.map((connection) => toView(connection, config.ISSUER))
    const rows = all.map((view) => [
      view.id,
      view.kind,
      view.name.ja,
      view.name.en,
      view.issuer,
      stateOf(view),
    ])
    const headings = ['id', 'kind', 'name (ja)', 'name (en)', 'issuer', 'state']
    print(
      json,
      all,
      table(headings, rows, 'No connections yet. Store one: hitotsu connections create --help'),
    )
  })
}

function stateOf(view: ConnectionView): string {
  if (!view.disabledAt) return 'active'
  return isDraft(view) ? 'not enabled yet' : `disabled ${moment(view.disabledAt)}`
}

function show(id: string, { json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ config, db }) => {
    const connection = await findConnection(db, id)
    if (!connection) throw new Refusal(`there is no connection ${plain(id)}`)
    const view = toView(connection, config.ISSUER)
    print(json, view, details(connectionParts(view)))
  })
}

function disable(id: string, { json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, now }) => {
    const { changed, membersSignedOut } = await disableConnectionAndSessions(db, id, now)
    const connection = await findConnection(db, id)
    if (!connection) throw new Refusal(`there is no connection ${plain(id)}`)
    const signedOut = `Signed out everywhere: ${membersSignedOut} member(s) who have signed in through it.`
    const text = changed
      ? `Disabled the connection ${plain(id)}. Nobody links or signs in through it any more; what is linked stays.\n${signedOut}`
      : `The connection ${plain(id)} was disabled already${membersSignedOut > 0 ? `.\n${signedOut}` : '; nothing changed.'}`
    print(json, { id, disabledAt: connection.disabledAt, changed, membersSignedOut }, text)
  })
}

function enable(id: string, { json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, now }) => {
    const changed = await inTransaction(db, (tx) => enableConnection(tx, id, now))
    if (!(await findConnection(db, id))) throw new Refusal(`there is no connection ${plain(id)}`)
    const text = changed
      ? `Enabled the connection ${plain(id)}. Members can link it, and sign in through it unless it is for linking only.`
      : `The connection ${plain(id)} was not disabled; nothing changed.`
    print(json, { id, disabledAt: null, changed }, text)
  })
}
