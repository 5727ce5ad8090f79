import { environment, type Settings } from './settings.ts'

export type { Settings }

/** What a process runs on. Frozen; keys are present whatever the environment said. */
export type Config = Readonly<Settings & { SECRET_KEYS: string[]; COOKIE_KEYS: string[] }>

/** The configuration cannot be used. `faults` holds one line per fault, all of them. */
export class ConfigError extends Error {
  readonly faults: readonly string[]

  constructor(faults: readonly string[]) {
    super(`Invalid configuration\n${faults.map((fault) => `  - ${fault}`).join('\n')}`)
    this.name = 'ConfigError'
    this.faults = faults
  }
}

/**
 * The only reader of the environment. Reports every fault at once, before anything opens.
 * An empty value counts as unset. `developmentKeys` supplies keys outside production.
 * @throws ConfigError
 */
export function loadConfig(
  env: Record<string, string | undefined>,
  developmentKeys: (dataFolder: string) => { SECRET_KEYS: string[]; COOKIE_KEYS: string[] },
): Config {
  const present = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value !== ''),
  )
  const parsed = environment.safeParse(present)
  const faults = [
    ...(parsed.success
      ? productionFaults(parsed.data)
      : [
          ...parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`),
          ...productionFaultsOf(present),
        ]),
    ...certificateFaults(present),
  ]
  if (!parsed.success || faults.length > 0) throw new ConfigError(faults)

  const { SECRET_KEYS, COOKIE_KEYS, ...rest } = parsed.data
  if (SECRET_KEYS && COOKIE_KEYS) return Object.freeze({ ...rest, SECRET_KEYS, COOKIE_KEYS })
  const generated = developmentKeys(rest.DATA_FOLDER)
  return Object.freeze({
    ...rest,
    SECRET_KEYS: SECRET_KEYS ?? generated.SECRET_KEYS,
    COOKIE_KEYS: COOKIE_KEYS ?? generated.COOKIE_KEYS,
  })
}

/** The same rules over an environment that did not parse, so that its other faults are named in the same breath. */
function productionFaultsOf(env: Record<string, string | undefined>): string[] {
  const { NODE_ENV, ISSUER = '', DATABASE_URL, REDIS_URL, SECRET_KEYS, COOKIE_KEYS, SMTP_URL } = env
  return productionFaults({ NODE_ENV, ISSUER, DATABASE_URL, REDIS_URL, SECRET_KEYS, COOKIE_KEYS, SMTP_URL })
}

function productionFaults(
  settings: Partial<Record<'NODE_ENV' | 'ISSUER' | 'DATABASE_URL' | 'SMTP_URL', string | undefined>> &
    Partial<Record<'REDIS_URL' | 'SECRET_KEYS' | 'COOKIE_KEYS', unknown>>,
): string[] {
  if (settings.NODE_ENV !== 'production') return []
  const required = ['DATABASE_URL', 'REDIS_URL', 'SECRET_KEYS', 'COOKIE_KEYS', 'SMTP_URL'] as const
  return [
    ...required
      .filter((name) => settings[name] === undefined)
      .map((name) => `${name}: required in production`),
    ...(settings.ISSUER?.startsWith('https://') ? [] : ['ISSUER: must be https in production']),
  ]
}

/** A certificate in a header is worth what the proxy is that wrote it. */
function certificateFaults(env: Record<string, string | undefined>): string[] {
  const { CLIENT_CERTIFICATE_HEADER: certificate, CLIENT_CERTIFICATE_VERIFIED_HEADER: verified } = env
  const isBehindProxy = Number(env.TRUST_PROXY ?? 0) > 0
  return [
    ...(certificate && !isBehindProxy
      ? ['CLIENT_CERTIFICATE_HEADER: taken from a proxy alone, so TRUST_PROXY must be 1 or more']
      : []),
    ...(verified && !certificate
      ? ['CLIENT_CERTIFICATE_VERIFIED_HEADER: says nothing without CLIENT_CERTIFICATE_HEADER']
      : []),
  ]
}
