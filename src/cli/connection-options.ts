import type { Command } from 'commander'
import type { SettingFault } from '../connections/setting-faults.ts'
import { collected, collectedWords, type Json, nameOptions } from './command.ts'

export interface ConnectionOptions extends Json {
  id?: string
  kind?: string
  nameJa?: string
  nameEn?: string
  issuer?: string
  clientId?: string
  clientSecretFile?: string
  linkOnly?: boolean
  scope?: string[]
  clientAuth?: string
  idTokenAlg?: string
  audience?: string[]
  trustEmail?: boolean
  param?: string[]
  discovery?: string
  authorizationEndpoint?: string
  tokenEndpoint?: string
  userinfoEndpoint?: string
  jwksUri?: string
  revocationEndpoint?: string
  claim?: string[]
  subjectType?: string
  teamId?: string
  keyId?: string
  disclosure?: string
}

export const secretVariable = 'HITOTSU_CLIENT_SECRET'

/** Where each part of a connection is given. */
export const optionNames: Readonly<Record<string, string>> = {
  ...nameOptions,
  id: '--id',
  kind: '--kind',
  issuer: '--issuer',
  clientId: '--client-id',
  clientSecret: `the client secret (--client-secret-file <path|-> or ${secretVariable})`,
  'settings.scope': '--scope',
  'settings.clientAuthentication': '--client-auth',
  'settings.idTokenSigningAlg': '--id-token-alg',
  'settings.audiences': '--audience',
  'settings.trustEmail': '--trust-email',
  'settings.discovery': '--discovery',
  'settings.endpoints.authorization': '--authorization-endpoint',
  'settings.endpoints.token': '--token-endpoint',
  'settings.endpoints.userinfo': '--userinfo-endpoint',
  'settings.endpoints.jwks': '--jwks-uri',
  'settings.endpoints.revocation': '--revocation-endpoint',
  'settings.claims': '--claim',
  'settings.claims.subject': '--claim subject=<path>',
  'settings.claims.subjectType': '--subject-type',
  'settings.claims.name': '--claim name=<path>',
  'settings.claims.email': '--claim email=<path>',
  'settings.claims.emailVerified': '--claim emailVerified=<path>',
  'settings.signer': '--team-id and --key-id',
  'settings.signer.teamId': '--team-id',
  'settings.signer.keyId': '--key-id',
  'settings.disclosure': '--disclosure',
}

/** The rules a connection breaks, each under the option it was given with. */
export function faultsOf(faults: readonly SettingFault[]): string[] {
  return faults.map(({ path, message }) => {
    const option = optionNames[path] ?? path
    return message.startsWith('is required') ? `${option} ${message}` : `${option}: ${message}`
  })
}

/** What is said of a connection when it is made, and later. */
export function connectionOptions(command: Command): void {
  command
    .option('--name-ja <name>', 'the name members see in Japanese (default: --name-en)')
    .option('--name-en <name>', 'the name members see in English (default: --name-ja)')
    .option('--issuer <url>', "the upstream's issuer (default: the kind's)")
    .option('--client-id <id>', 'what the upstream calls this server; the channel ID at LINE')
    .option(
      '--client-secret-file <path>',
      `the file its secret is in (Apple: the .p8 file), - for standard input; else ${secretVariable} is read`,
    )
    .option('--link-only', 'members link it and never sign in through it')
    .option('--no-link-only', 'members may sign in through it (default)')
    .option('--scope <scope>', 'what is asked for at the upstream; repeatable', collectedWords)
    .option('--client-auth <method>', 'client_secret_basic or client_secret_post')
    .option('--id-token-alg <alg>', 'the algorithm its ID tokens must have')
    .option(
      '--audience <id>',
      'another application at the upstream (a native app) whose ID tokens may be exchanged; repeatable',
      collected,
    )
    .option('--trust-email', "believe the upstream's word that an address is verified")
    .option('--no-trust-email', 'an address is never taken as verified (default)')
    .option(
      '--param <key=value>',
      'a further parameter of the authorization request; repeatable; key= drops one',
      collected,
    )
    .option('--discovery <url>', 'where its metadata is, when not where its issuer says')
    .option('--authorization-endpoint <url>', 'with --token-endpoint: no metadata is asked for')
    .option('--token-endpoint <url>', 'where codes become tokens')
    .option('--userinfo-endpoint <url>', 'what tells, for an access token, whose account it is')
    .option('--jwks-uri <url>', 'the keys that sign its ID tokens')
    .option('--revocation-endpoint <url>', 'where its tokens end (RFC 7009)')
    .option(
      '--claim <name=path>',
      'OAuth 2.0: where in the userinfo subject, name, email, emailVerified are (subject=data.id); repeatable',
      collected,
    )
    .option(
      '--subject-type <type>',
      'OAuth 2.0: text or integer, what the subject is in JSON (default: text)',
    )
    .option('--team-id <id>', 'Apple: the team that the key belongs to')
    .option('--key-id <id>', 'Apple: the name of the key')
    .option(
      '--disclosure <how>',
      'subject or pairwise: whether relying parties see the subject, or one of their own (default: subject)',
    )
}
