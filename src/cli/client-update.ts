import type { Command } from 'commander'
import { enableClient, findRegistration, updateClient } from '../oidc/clients/client.ts'
import { inTransaction } from '../store/db.ts'
import { refuseUnknown, registrationOptions } from './client-create.ts'
import { type ClientOptions, readClient } from './client-input.ts'
import { clientParts, findClient } from './client-view.ts'
import { addCommand, collected, type Json } from './command.ts'
import { type Surroundings, withContext } from './context.ts'
import { details, plain, print } from './output.ts'
import { Refusal } from './refusal.ts'

export function addClientUpdate(clients: Command, surroundings: Surroundings): void {
  const command = addCommand(
    clients,
    'update',
    'Say some things about a relying party anew; the rest stays, secrets and grants too.',
    [
      'hitotsu clients update shop --redirect-uri https://shop.example.com/callback \\',
      '    --redirect-uri https://shop.example.com/callback/app',
      'hitotsu clients update shop --connection line --connection store   # members are asked about the new one',
      'hitotsu clients update old-shop --pkce-optional',
    ],
  )
    .argument('<id>', 'the client_id')
    .option(
      '--unset <metadata>',
      'client metadata to take away, by its registered name; repeatable',
      collected,
    )
    .action((id: string, options: ClientOptions) => update(id, options, surroundings))
  registrationOptions(command)
  addCommand(clients, 'enable', 'Let a relying party in again that was shut out. Members are asked again.', [
    'hitotsu clients enable shop',
  ])
    .argument('<id>', 'the client_id')
    .action((id: string, options: Json) => enable(id, options, surroundings))
}

async function update(id: string, options: ClientOptions, surroundings: Surroundings): Promise<void> {
  await withContext(surroundings, async ({ db, now }) => {
    const registered = await findRegistration(db, id)
    if (!registered) throw new Refusal(`there is no client ${plain(id)}`)
    const input = await readClient(options, registered)
    await inTransaction(db, async (tx) => {
      await refuseUnknown(tx, input)
      await updateClient(tx, input, now)
    })
    const client = await findClient(db, id, now)
    if (!client) throw new Refusal(`the client ${plain(id)} was removed right after it was changed`)
    print(
      options.json,
      { client },
      [`Changed the client ${plain(id)}.`, '', details(clientParts(client))].join('\n'),
    )
  })
}

function enable(id: string, { json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, now }) => {
    const changed = await inTransaction(db, (tx) => enableClient(tx, id, now))
    if (!changed && !(await findClient(db, id, now))) throw new Refusal(`there is no client ${plain(id)}`)
    const text = changed
      ? `Enabled the client ${plain(id)}.`
      : `The client ${plain(id)} was not disabled; nothing changed.`
    print(json, { id, changed }, text)
  })
}
