import type { Command } from 'commander'
import { createConnection } from '../connections/connection.ts'
import { kinds } from '../connections/settings.ts'
import { inTransaction, isUniqueViolation } from '../store/db.ts'
import { addCommand, collected, collectedWords } from './command.ts'
import { type ConnectionOptions, lineIssuer, readNewConnection, secretVariable } from './connection-input.ts'
import { connectionParts, toView } from './connection-view.ts'
import { type Surroundings, withContext } from './context.ts'
import { details, print } from './output.ts'
import { Refusal } from './refusal.ts'

export function addConnectionCreate(connections: Command, surroundings: Surroundings): void {
  addCommand(connections, 'create', 'Store an upstream and print the callback URL to register there.', [
    'hitotsu connections create --id line --kind line --name-ja LINE --client-id 1234567890 \\',
    '    --client-secret-file ./line-channel-secret',
    'pass show store/oidc | hitotsu connections create --id store --kind oidc --name-ja 公式ストア \\',
    '    --name-en "Official store" --issuer https://login.store.example.com --client-id hitotsu \\',
    '    --client-secret-file - --param prompt=select_account',
  ])
    .option('--id <id>', 'part of the callback URL, so it never changes: lower-case letters, digits, hyphens')
    .option('--kind <kind>', `what the upstream is: ${kinds.join(' or ')}`)
    .option('--name-ja <name>', 'the name members see in Japanese (default: --name-en)')
    .option('--name-en <name>', 'the name members see in English (default: --name-ja)')
    .option('--issuer <url>', `the upstream's issuer (default for line: ${lineIssuer})`)
    .option('--client-id <id>', 'what the upstream calls this server; the channel ID at LINE')
    .option(
      '--client-secret-file <path>',
      `the file its secret is in, - for standard input; else ${secretVariable} is read`,
    )
    .option(
      '--scope <scope>',
      'what is asked for at the upstream; repeatable (default: openid profile email)',
      collectedWords,
    )
    .option(
      '--client-auth <method>',
      'client_secret_basic or client_secret_post (default: as the kind has it)',
    )
    .option('--id-token-alg <alg>', 'the algorithm its ID tokens must have (default: as the kind has it)')
    .option(
      '--audience <id>',
      'another application at the upstream (a native app) whose ID tokens may be exchanged; repeatable',
      collected,
    )
    .option('--trust-email', "believe the upstream's email_verified; never for LINE")
    .option(
      '--param <key=value>',
      'a further parameter of the authorization request; repeatable; key= drops a default',
      collected,
    )
    .action((options: ConnectionOptions) => create(options, surroundings))
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
      `Stored the connection ${view.id}.`,
      '',
      details(connectionParts(view)),
      '',
      'Register this callback URL at the upstream, exactly as it stands:',
      `  ${view.callbackUrl}`,
      `Then try it: hitotsu connections test ${view.id}`,
    ]
    print(options.json, view, lines.join('\n'))
  })
}
