import { type NewConnection, newConnection } from '../connections/connection.ts'
import { kindOf } from '../connections/kinds.ts'
import { type KindName, kinds } from '../connections/settings.ts'
import { given, type Json, nameOf, nameOptions, readText } from './command.ts'
import { faultsByOption, wrongUsage } from './refusal.ts'

export interface ConnectionOptions extends Json {
  id?: string
  kind?: string
  nameJa?: string
  nameEn?: string
  issuer?: string
  clientId?: string
  clientSecretFile?: string
  scope?: string[]
  clientAuth?: string
  idTokenAlg?: string
  audience?: string[]
  trustEmail?: boolean
  param?: string[]
}

const optionNames = {
  ...nameOptions,
  id: '--id',
  kind: '--kind',
  issuer: '--issuer',
  clientId: '--client-id',
  clientSecret: 'the client secret (--client-secret-file <path|-> or HITOTSU_CLIENT_SECRET)',
  'settings.scope': '--scope',
  'settings.clientAuthentication': '--client-auth',
  'settings.idTokenSigningAlg': '--id-token-alg',
  'settings.audiences': '--audience',
}

export const secretVariable = 'HITOTSU_CLIENT_SECRET'
/** LINE has one issuer for all the world; a simulator has another. */
export const lineIssuer = 'https://access.line.me'
/** Set for each trip by the server itself, or at odds with how it reads the answer. */
const reservedParams = [
  ...['client_id', 'response_type', 'response_mode', 'redirect_uri', 'scope', 'state', 'nonce'],
  ...['code_challenge', 'code_challenge_method', 'request', 'request_uri', 'ui_locales'],
]

/** @throws Refusal with every fault of the input */
export async function readNewConnection(
  options: ConnectionOptions,
  secretOfEnvironment: string | undefined,
): Promise<NewConnection> {
  const faults: string[] = []
  const kind = kinds.find((name) => name === options.kind)
  const clientSecret = await readSecret(options.clientSecretFile, secretOfEnvironment, faults)
  if (options.trustEmail && kind === 'line')
    faults.push('--trust-email: LINE does not say whether an address is verified, so it cannot be believed')
  const input = given({
    id: options.id,
    kind: options.kind,
    name: nameOf(options),
    issuer: options.issuer ?? (kind === 'line' ? lineIssuer : undefined),
    clientId: options.clientId,
    clientSecret,
    settings: given({
      scope: options.scope?.join(' '),
      clientAuthentication: options.clientAuth,
      idTokenSigningAlg: options.idTokenAlg,
      audiences: options.audience,
      trustEmail: options.trustEmail,
      authorizationParams: kind && readParams(kind, options.param, faults),
    }),
  })
  const parsed = newConnection.safeParse(input)
  if (!parsed.success) faults.push(...faultsByOption(parsed.error, input, optionNames))
  if (!parsed.success || faults.length > 0) throw wrongUsage(faults)
  return parsed.data
}

/** Never from the command line itself, which every user of the machine can read. A line break at its end is not part of it. */
async function readSecret(
  path: string | undefined,
  ofEnvironment: string | undefined,
  faults: string[],
): Promise<string | undefined> {
  if (path === undefined) return ofEnvironment
  try {
    return (await readText(path)).replace(/\r?\n$/, '')
  } catch (error) {
    faults.push(`--client-secret-file ${path}: ${(error as Error).message}`)
    return undefined
  }
}

/** The parameters of the kind with the given ones on top; one without a value takes a default away. */
function readParams(
  kind: KindName,
  pairs: readonly string[] | undefined,
  faults: string[],
): Record<string, string> | undefined {
  if (!pairs) return undefined
  const params = { ...kindOf(kind).settings.authorizationParams }
  for (const pair of pairs) {
    const [, key, value] = /^([\w.-]+)=(.*)$/s.exec(pair) ?? []
    if (key === undefined || value === undefined) faults.push(`--param ${pair}: must be key=value`)
    else if (reservedParams.includes(key)) faults.push(`--param ${pair}: the server sets ${key} itself`)
    else if (value === '') delete params[key]
    else params[key] = value
  }
  return params
}
