import type { Command } from 'commander'
import { disableClient, rotateSecret } from '../oidc/clients/client.ts'
import { systemRandom } from '../security/random.ts'
import { inTransaction } from '../store/db.ts'
import { addClientCreate, secretNotice } from './client-create.ts'
import { addClientUpdate } from './client-update.ts'
import { type ClientView, clientParts, findClient, listClients } from './client-view.ts'
import { addCommand, type Json } from './command.ts'
import { type Surroundings, withContext } from './context.ts'
import { secondsUpTo } from './duration.ts'
import { details, moment, plain, print, table } from './output.ts'
import { Refusal } from './refusal.ts'

export function addClients(program: Command, surroundings: Surroundings): void {
  const clients = program
    .command('clients')
    .description('Relying parties: who may send members here to sign in.')
  addClientCreate(clients, surroundings)
  addClientUpdate(clients, surroundings)
  addCommand(clients, 'list', 'List all relying parties.', [
    'hitotsu clients list',
    "hitotsu clients list --json | jq -r '.[].id'",
  ]).action((options: Json) => list(options, surroundings))
  addCommand(clients, 'show', 'Show one relying party. Secrets cannot be shown.', [
    'hitotsu clients show shop',
    'hitotsu clients show shop --json',
  ])
    .argument('<id>', 'the client_id')
    .action((id: string, options: Json) => show(id, options, surroundings))
  addCommand(
    clients,
    'rotate-secret',
    'Make a new secret and print it, once; the one before works on for a while.',
    [
      'hitotsu clients rotate-secret shop',
      'hitotsu clients rotate-secret shop --overlap 7d',
      'hitotsu clients rotate-secret shop --overlap 0   # the old secret leaked: it ends now',
    ],
  )
    .argument('<id>', 'the client_id')
    .option(
      '--overlap <time>',
      'how long the secret before still works: seconds, or 30m, 24h, 7d',
      secondsUpTo(maxOverlapDays),
      day,
    )
    .action((id: string, options: RotateOptions) => rotate(id, options, surroundings))
  addCommand(clients, 'disable', 'Shut a relying party out at once. What members allowed it ends as well.', [
    'hitotsu clients disable shop',
  ])
    .argument('<id>', 'the client_id')
    .action((id: string, options: Json) => disable(id, options, surroundings))
}

interface RotateOptions extends Json {
  overlap: number
}

const day = 86_400
const maxOverlapDays = 30

function list({ json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, now }) => {
    const all = await listClients(db, now)
    const rows = all.map((client) => [
      client.id,
      client.name.ja,
      client.name.en,
      client.authMethod,
      client.connections.join(' ') || '-',
      client.disabledAt ? `disabled ${moment(client.disabledAt)}` : 'active',
    ])
    const headings = ['id', 'name (ja)', 'name (en)', 'authentication', 'connections', 'state']
    print(json, all, table(headings, rows, 'No clients yet. Register one: hitotsu clients create --help'))
  })
}

function show(id: string, { json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, now }) => {
    const client = known(await findClient(db, id, now), id)
    print(json, client, details(clientParts(client)))
  })
}

function rotate(id: string, { overlap, json }: RotateOptions, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, now }) => {
    const secret = await inTransaction(db, async (tx) => {
      const client = known(await findClient(tx, id, now), id)
      if (client.disabledAt) throw new Refusal(`the client ${id} is disabled`)
      if (!client.authMethod.startsWith('client_secret'))
        throw new Refusal(`the client ${id} has no secret: it authenticates with ${client.authMethod}`)
      return rotateSecret(tx, systemRandom, id, overlap, now)
    })
    const previousExpiresAt = new Date(now.getTime() + overlap * 1000)
    const before =
      overlap > 0
        ? `The secret before works until ${moment(previousExpiresAt)}.`
        : 'The secret before no longer works.'
    const text = [
      details([
        ['client', id],
        ['client secret', secret],
      ]),
      '',
      before,
      secretNotice,
    ].join('\n')
    print(json, { id, secret, previousExpiresAt }, text)
  })
}

function disable(id: string, { json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, now }) => {
    const changed = await inTransaction(db, (tx) => disableClient(tx, id, now))
    const client = known(await findClient(db, id, now), id)
    const text = changed
      ? `Disabled the client ${plain(id)}. It is unknown at every endpoint from now on.`
      : `The client ${plain(id)} was disabled already; nothing changed.`
    print(json, { id, disabledAt: client.disabledAt, changed }, text)
  })
}

function known(client: ClientView | undefined, id: string): ClientView {
  if (!client) throw new Refusal(`there is no client ${plain(id)}`)
  return client
}
