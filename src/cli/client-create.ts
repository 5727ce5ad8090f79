import type { Command } from 'commander'
import { createClient } from '../oidc/clients/client.ts'
import type { ParsedClient } from '../oidc/clients/new-client.ts'
import { clientProfiles } from '../oidc/clients/profile.ts'
import { systemRandom } from '../security/random.ts'
import { inTransaction, isUniqueViolation, type Tx } from '../store/db.ts'
import { type ClientOptions, readClient } from './client-input.ts'
import { clientParts, findClient } from './client-view.ts'
import { addCommand, collected, collectedWords } from './command.ts'
import { type Surroundings, withContext } from './context.ts'
import { details, print } from './output.ts'
import { Refusal } from './refusal.ts'

export const secretNotice =
  'This secret will not be shown again: only a digest of it is stored. Keep it where the relying party reads it.'

export function addClientCreate(clients: Command, surroundings: Surroundings): void {
  const command = addCommand(clients, 'create', 'Register a relying party and print its secret, once.', [
    'hitotsu clients create --id shop --name-ja 公式ストア --name-en "Official store" \\',
    '    --redirect-uri https://shop.example.com/callback --connection line',
    'hitotsu clients create --id app --name-en App --redirect-uri https://app.example.com/callback \\',
    '    --profile spa --scope "openid profile linked_accounts"',
    'hitotsu clients create --id crm --name-en CRM --redirect-uri https://crm.example.com/callback \\',
    '    --auth-method private_key_jwt --jwks-file crm.jwks.json --json',
    'hitotsu clients create --id batch --name-en Batch --profile machine \\',
    '    --resource "https://api.example.com=orders:read orders:write"',
  ])
    .option('--id <id>', 'the client_id: lower-case letters, digits, dots, hyphens, underscores')
    .action((options: ClientOptions) => create(options, surroundings))
  registrationOptions(command)
}

/** What is said of a client, when it is registered and later. */
export function registrationOptions(command: Command): void {
  command
    .option(
      '--profile <profile>',
      `${clientProfiles.join(', ')}: what it is decides what it may ask for (default: web)`,
    )
    .option('--name-ja <name>', 'the name members see in Japanese (default: --name-en)')
    .option('--name-en <name>', 'the name members see in English (default: --name-ja)')
    .option('--redirect-uri <uri>', 'where the browser returns with a code; repeatable', collected)
    .option(
      '--post-logout-redirect-uri <uri>',
      'where the browser may go after sign-out; repeatable',
      collected,
    )
    .option(
      '--scope <scope>',
      'what it may ask for; repeatable (default: openid profile email offline_access)',
      collectedWords,
    )
    .option(
      '--auth-method <method>',
      'client_secret_basic, client_secret_post, private_key_jwt, tls_client_auth, self_signed_tls_client_auth, none',
    )
    .option('--jwks-file <path>', "the client's public keys as a JSON Web Key Set; - reads standard input")
    .option('--id-token-alg <alg>', 'what signs its ID tokens: ES256 (default), RS256, PS256, EdDSA')
    .option('--pkce-optional', 'for a confidential client whose library does not know PKCE')
    .option('--no-pkce-optional', 'PKCE is required (default)')
    .option('--connection <id>', 'a connection whose linked accounts it may see; repeatable', collected)
    .option(
      '--vouch-connection <id>',
      'a connection whose accounts it may vouch for, as with link tickets; repeatable',
      collected,
    )
    .option(
      '--token-connection <id>',
      'a connection whose access tokens it may have, of its members; repeatable',
      collected,
    )
    .option(
      '--resource <id[=scopes]>',
      'an API it may ask tokens for, and what it may have there (default: all its scopes); repeatable',
      collected,
    )
    .option('--first-party', 'a service of the company itself: members are not asked for consent')
    .option('--no-first-party', 'members are asked for consent (default)')
    .option('--manage-links', "one of the company's own programs, that makes and ends links at the API")
    .option('--no-manage-links', 'it cannot (default)')
    .option('--logo-uri <url>', 'its logo, shown where members are asked for consent')
    .option('--client-uri <url>', 'its home page')
    .option('--policy-uri <url>', 'its privacy policy')
    .option('--tos-uri <url>', 'its terms of service')
    .option(
      '--metadata-file <path>',
      'any other client metadata by its registered names, as a JSON object; - reads standard input',
    )
}

async function create(options: ClientOptions, surroundings: Surroundings): Promise<void> {
  const input = await readClient(options)
  await withContext(surroundings, async ({ db, now }) => {
    const { secret } = await inTransaction(db, async (tx) => {
      await refuseUnknown(tx, input)
      return createClient(tx, systemRandom, input, now)
    }).catch((error: unknown) => {
      if (!isUniqueViolation(error)) throw error
      throw new Refusal(`there is a client ${input.id} already`, undefined, error)
    })
    const client = await findClient(db, input.id, now)
    if (!client) throw new Refusal(`the client ${input.id} was removed right after it was registered`)
    const secretPart = secret ? [['client secret', secret] as const] : []
    const lines = [
      `Registered the client ${input.id}.`,
      '',
      details([...clientParts(client), ...secretPart]),
      ...(secret ? ['', secretNotice] : []),
    ]
    print(options.json, { client, ...(secret && { secret }) }, lines.join('\n'))
  })
}

export async function refuseUnknown(tx: Tx, input: ParsedClient): Promise<void> {
  const { resources } = input
  const connections = [
    ...input.connections.map((id) => ['--connection', id] as const),
    ...input.vouchConnections.map((id) => ['--vouch-connection', id] as const),
    ...input.tokenConnections.map((id) => ['--token-connection', id] as const),
  ]
  const ids = resources.map(({ id }) => id)
  const [knownConnections, knownResources] = [
    await tx.connection.findMany({
      where: { id: { in: connections.map(([, id]) => id) } },
      select: { id: true },
    }),
    await tx.resource.findMany({ where: { id: { in: ids } }, select: { id: true, scopes: true } }),
  ]
  const scopesAt = new Map(knownResources.map(({ id, scopes }) => [id, scopes]))
  const faults = [
    ...connections
      .filter(([, id]) => !knownConnections.some((row) => row.id === id))
      .map(([option, id]) => `${option} ${id}: there is no such connection`),
    ...ids.filter((id) => !scopesAt.has(id)).map((id) => `--resource ${id}: there is no such resource`),
    ...resources.flatMap(({ id, scopes }) =>
      scopes
        .filter((scope) => scopesAt.get(id)?.includes(scope) === false)
        .map((scope) => `--resource ${id}: it has no scope ${scope}`),
    ),
  ]
  if (faults.length > 0) throw new Refusal(faults)
}
