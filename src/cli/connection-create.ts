import type { Command } from 'commander'
import { createConnection } from '../connections/connection.ts'
import { hasUpstream } from '../connections/kinds.ts'
import { kinds } from '../connections/settings.ts'
import { inTransaction, isUniqueViolation } from '../store/db.ts'
import { addCommand } from './command.ts'
import { readNewConnection } from './connection-input.ts'
import { type ConnectionOptions, connectionOptions, secretVariable } from './connection-options.ts'
import { connectionParts, toView } from './connection-view.ts'
import { type Surroundings, withContext } from './context.ts'
import { details, print } from './output.ts'
import { Refusal } from './refusal.ts'

export function addConnectionCreate(connections: Command, surroundings: Surroundings): void {
  const command = addCommand(
    connections,
    'create',
    'Store an upstream and print the callback URL to register there. Nobody can use it until it is enabled.',
    [
      'hitotsu connections create --id line --kind line --name-ja LINE --client-id 1234567890 \\',
      '    --client-secret-file ./line-channel-secret',
      'hitotsu connections create --id apple --kind apple --name-en Apple --client-id com.example.web \\',
      '    --team-id ABCDE12345 --key-id FGHIJ67890 --client-secret-file ./AuthKey_FGHIJ67890.p8',
      'pass show store/oidc | hitotsu connections create --id store --kind oidc --name-ja 公式ストア \\',
      '    --name-en "Official store" --issuer https://login.store.example.com --client-id hitotsu \\',
      '    --client-secret-file - --param prompt=select_account',
      'hitotsu connections create --id club --kind oauth2 --name-en Club --issuer https://club.example.com \\',
      '    --authorization-endpoint https://club.example.com/authorize --token-endpoint https://club.example.com/token \\',
      '    --userinfo-endpoint https://club.example.com/me --claim subject=data.id --claim email=data.email \\',
      '    --client-id hitotsu --client-secret-file ./club-secret',
    ],
  )
    .option('--id <id>', 'part of the callback URL, so it never changes: lower-case letters, digits, hyphens')
    .option('--kind <kind>', `what the upstream is: ${kinds.join(', ')} (hitotsu connections presets)`)
    .action((options: ConnectionOptions) => create(options, surroundings))
  connectionOptions(command)
}

async function create(options: ConnectionOptions, surroundings: Surroundings): Promise<void> {
  const input = await readNewConnection(options, surroundings.env[secretVariable])
  await withContext(surroundings, async ({ config, db, now, sealer }) => {
    const sealing = await sealer()
    const connection = await inTransaction(db, (tx) => createConnection(tx, sealing, input, now)).catch(
      (error: unknown) => {
        if (!isUniqueViolation(error)) throw error
        throw new Refusal(`there is a connection ${input.id} already`, undefined, error)
      },
    )
    const view = toView(connection, config.ISSUER)
    const lines = [
      `Stored the connection ${view.id}. Nobody links or signs in through it yet.`,
      '',
      details(connectionParts(view)),
      '',
      ...(hasUpstream(connection.kind)
        ? [
            'Register this callback URL at the upstream, exactly as it stands:',
            `  ${view.callbackUrl}`,
            `Then try it: hitotsu connections test ${view.id}`,
          ]
        : [
            'Let the client of its server say whose accounts they are:',
            `  hitotsu clients update CLIENT --vouch-connection ${view.id}`,
          ]),
      `Then let members use it: hitotsu connections enable ${view.id}`,
    ]
    print(options.json, view, lines.join('\n'))
  })
}
