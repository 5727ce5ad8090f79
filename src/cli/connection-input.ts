import { type NewConnection, newConnection } from '../connections/connection.ts'
import { hasUpstream, kindOf } from '../connections/kinds.ts'
import { type Described, settingFaults } from '../connections/setting-faults.ts'
import { type GivenSettings, givenSettings, kinds } from '../connections/settings.ts'
import { type ConnectionChange, connectionChange } from '../connections/update-connection.ts'
import { systemRandom } from '../security/random.ts'
import { given, nameOf, readText } from './command.ts'
import { type ConnectionOptions, faultsOf, optionNames } from './connection-options.ts'
import { faultsByOption, wrongUsage } from './refusal.ts'

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
  const settings = readSettings(options, kind && kindOf(kind).settings.authorizationParams, faults)
  // Nobody is sent there as a client.
  const nobody = kind && !hasUpstream(kind) ? { clientId: 'none', clientSecret: systemRandom.token() } : {}
  const input = given({
    ...nobody,
    ...given(described(options)),
    id: options.id,
    kind: options.kind,
    issuer: options.issuer ?? (kind && kindOf(kind).issuer),
    ...given({ clientSecret }),
    settings,
  })
  const parsed = newConnection.safeParse(input)
  const formal = parsed.success ? [] : faultsByOption(parsed.error, input, optionNames)
  const rules = kind ? ruleFaults({ kind, issuer: input.issuer, clientSecret, settings }) : []
  faults.push(...together(formal, rules))
  if (!parsed.success || faults.length > 0) throw wrongUsage(faults)
  return parsed.data
}

/** What is to be different of a stored connection. @throws Refusal with every fault of the input by itself */
export async function readConnectionChange(
  options: ConnectionOptions,
  secretOfEnvironment: string | undefined,
  paramsNow: Readonly<Record<string, string>>,
): Promise<ConnectionChange> {
  const faults: string[] = []
  const input = given({
    ...described(options),
    clientSecret: await readSecret(options.clientSecretFile, secretOfEnvironment, faults),
    settings: readSettings(options, paramsNow, faults),
  })
  const parsed = connectionChange.safeParse(input)
  if (!parsed.success) faults.push(...faultsByOption(parsed.error, input, optionNames))
  if (!parsed.success || faults.length > 0) throw wrongUsage(faults)
  return parsed.data
}

function described(options: ConnectionOptions) {
  return {
    name: nameOf(options),
    issuer: options.issuer,
    clientId: options.clientId,
    allowSignIn: options.linkOnly === undefined ? undefined : !options.linkOnly,
  }
}

/** The rules of the kind, over what is well formed by itself. */
function ruleFaults({ settings, ...rest }: Omit<Described, 'settings'> & { settings: object }): string[] {
  const entries = Object.entries(settings).filter(
    ([name, value]) => givenSettings.safeParse({ [name]: value }).success,
  )
  const wellFormed: GivenSettings = givenSettings.parse(Object.fromEntries(entries))
  return faultsOf(settingFaults({ ...rest, settings: wellFormed }))
}

/** Each option once: a rule knows where a missing value is found, and nothing of one that is malformed. */
function together(formal: readonly string[], rules: readonly string[]): string[] {
  const optionOf = (fault: string) => fault.split(/[ :]/)[0]
  const saidBy = (others: readonly string[], fault: string) =>
    others.some((other) => optionOf(other) === optionOf(fault))
  const kept = formal.filter((fault) => !(fault.endsWith(' is required') && saidBy(rules, fault)))
  return [...kept, ...rules.filter((fault) => !saidBy(kept, fault))]
}

function readSettings(
  options: ConnectionOptions,
  defaultParams: Readonly<Record<string, string>> | undefined,
  faults: string[],
) {
  const endpoints = given({
    authorization: options.authorizationEndpoint,
    token: options.tokenEndpoint,
    userinfo: options.userinfoEndpoint,
    jwks: options.jwksUri,
    revocation: options.revocationEndpoint,
  })
  return given({
    scope: options.scope?.join(' '),
    clientAuthentication: options.clientAuth,
    idTokenSigningAlg: options.idTokenAlg,
    audiences: options.audience,
    trustEmail: options.trustEmail,
    authorizationParams: defaultParams && readParams(defaultParams, options.param, faults),
    discovery: options.discovery,
    endpoints: Object.keys(endpoints).length > 0 ? endpoints : undefined,
    claims: readClaims(options, faults),
    signer:
      options.teamId === undefined && options.keyId === undefined
        ? undefined
        : { teamId: options.teamId, keyId: options.keyId },
    disclosure: options.disclosure,
  })
}

const claimNames = ['subject', 'name', 'email', 'emailVerified'] as const

/** `subject=data.id`, one for each claim. */
function readClaims({ claim, subjectType }: ConnectionOptions, faults: string[]): object | undefined {
  if (!claim) {
    if (subjectType !== undefined) faults.push('--subject-type: goes with --claim subject=<path>')
    return undefined
  }
  const pairs = claim.map((pair) => {
    const [, name = '', path = ''] = /^(\w+)=(.*)$/.exec(pair) ?? []
    const known = claimNames.some((one) => one === name)
    if (!known) faults.push(`--claim ${pair}: must be ${claimNames.join('=, ')}= and a path`)
    return [name, path] as const
  })
  return { ...Object.fromEntries(pairs), subjectType: subjectType ?? 'text' }
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

/** The parameters so far with the given ones on top; one without a value takes one away. */
function readParams(
  defaults: Readonly<Record<string, string>>,
  pairs: readonly string[] | undefined,
  faults: string[],
): Record<string, string> | undefined {
  if (!pairs) return undefined
  const params = { ...defaults }
  for (const pair of pairs) {
    const [, key, value] = /^([\w.-]+)=(.*)$/s.exec(pair) ?? []
    if (key === undefined || value === undefined) faults.push(`--param ${pair}: must be key=value`)
    else if (reservedParams.includes(key)) faults.push(`--param ${pair}: the server sets ${key} itself`)
    else if (value === '') delete params[key]
    else params[key] = value
  }
  return params
}
