import type { Command } from 'commander'
import { findConnection } from '../connections/connection.ts'
import { updateConnection } from '../connections/update-connection.ts'
import { inTransaction } from '../store/db.ts'
import { addCommand } from './command.ts'
import { readConnectionChange } from './connection-input.ts'
import { type ConnectionOptions, connectionOptions, faultsOf, secretVariable } from './connection-options.ts'
import { connectionParts, toView } from './connection-view.ts'
import { type Surroundings, withContext } from './context.ts'
import { details, plain, print } from './output.ts'
import { Refusal } from './refusal.ts'

export function addConnectionUpdate(connections: Command, surroundings: Surroundings): void {
  const command = addCommand(
    connections,
    'update',
    'Change what is given of a connection; the rest stays. With an address or the client goes its secret, anew.',
    [
      'hitotsu connections update line --name-en "LINE account"',
      'hitotsu connections update line --client-secret-file ./new-channel-secret',
      'hitotsu connections update club --token-endpoint https://id.club.example.com/token \\',
      '    --client-secret-file ./club-secret',
    ],
  )
    .argument('<id>', 'the connection')
    .action((id: string, options: ConnectionOptions) => update(id, options, surroundings))
  connectionOptions(command)
}

function update(id: string, options: ConnectionOptions, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ config, db, now, sealer }) => {
    const stored = await findConnection(db, id)
    if (!stored) throw new Refusal(`there is no connection ${plain(id)}`)
    const ofEnvironment = surroundings.env[secretVariable]
    const change = await readConnectionChange(options, ofEnvironment, stored.settings.authorizationParams)
    const sealing = await sealer()
    const result = await inTransaction(db, (tx) => updateConnection(tx, sealing, id, change, now))
    if (result.outcome === 'unknown') throw new Refusal(`there is no connection ${plain(id)}`)
    if (result.outcome === 'refused') throw new Refusal(faultsOf(result.faults))
    const { connection, changed } = result
    const view = toView(connection, config.ISSUER)
    const lines =
      changed.length === 0
        ? [`The connection ${id} is that already; nothing changed.`]
        : [
            `Changed ${changed.join(', ')} of the connection ${id}.`,
            '',
            details(connectionParts(view)),
            '',
            `See whether it still works: hitotsu connections test ${id}`,
          ]
    print(options.json, { ...view, changed }, lines.join('\n'))
  })
}
