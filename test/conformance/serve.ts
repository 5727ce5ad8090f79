import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { ConfigError } from '../../src/config/config.ts'
import { type RunningServer, readConfig, startServer, toldToEnd } from '../../src/main.ts'
import { algorithms } from '../../src/oidc/keys/plan.ts'
import { rotateSigningKey } from '../../src/oidc/keys/rotate.ts'
import type { KeyMaking } from '../../src/oidc/keys/signing-key.ts'
import { routes } from '../../src/oidc/routes.ts'
import { systemRandom } from '../../src/security/random.ts'
import { createSealer } from '../../src/security/seal.ts'
import { openDb } from '../../src/store/db.ts'
import { send } from '../support/post.ts'
import type { SuitePlace } from './clients.ts'
import { openFront } from './front.ts'
import { type Kept, readKept, writeKept, writeSecret } from './kept.ts'
import { type PlanConfig, planConfigs } from './plan-configs.ts'
import { furnish, memberEmail } from './world.ts'

export interface ServeOptions extends SuitePlace {
  host: string
  port: number
  /** Unset: `https://localhost` and the port. */
  issuer?: string | undefined
  /** Where the database, the world and the plans are kept. */
  data: string
  env: Record<string, string | undefined>
  /** Told what the hooks have done. */
  log?: (message: string) => void
}

export interface ConformanceServer {
  issuer: string
  /** In PEM; who trusts it trusts the server. */
  certificate: string
  kept: Kept
  plans: PlanConfig[]
  fileOf(plan: PlanConfig): string
  stop(): Promise<void>
}

const certificateFile = 'certificate.pem'
const certificateHeader = 'Client-Cert'
export const rotatePath = '/conformance/rotate-keys'

/** The server as the official plans need it: over https, with their clients and a member who has every standard claim. */
export async function serveConformance(options: ServeOptions): Promise<ConformanceServer> {
  const { host, port, data, suite, alias, env } = options
  const closers: (() => Promise<unknown>)[] = []
  const stop = async () => {
    for (const close of closers.splice(0).reverse()) await close()
  }
  try {
    const hosts = [...new Set([hostOf(options.issuer ?? 'https://localhost'), 'localhost', '127.0.0.1'])]
    const before = await readKept(data, hosts, new Date())
    const front = await openFront({ host, port, ...before.server, certificateHeader })
    closers.push(() => front.close())
    const issuer = options.issuer ?? `https://localhost:${front.port}`
    const settings = {
      ...env,
      ...{ ISSUER: issuer, HOST: '127.0.0.1', PORT: '0', DATA_FOLDER: data },
      ...{ TRUST_PROXY: '1', CLIENT_CERTIFICATE_HEADER: certificateHeader },
      // Keys, sectors and logout tokens go to and from the suite, which is near.
      OUTBOUND_PRIVATE_HOSTS: authorityOf(suite),
    }
    const server = await startServer(settings)
    closers.push(() => server.stop())
    const db = openDb(server.databaseUrl, 2)
    closers.push(() => db.$disconnect())
    const kept = await furnish(db, { suite, alias }, before, new Date())
    writeKept(data, kept)
    writeFileSync(join(data, certificateFile), kept.server.certificate)
    const plans = planConfigs(issuer, { suite, alias }, kept)
    const fileOf = ({ name }: PlanConfig) => join(data, 'plans', `${name}.json`)
    for (const plan of plans) writeSecret(fileOf(plan), plan.config)

    const sealer = createSealer(readConfig(settings).SECRET_KEYS)
    const making = { db, sealer, random: systemRandom }
    const rotate = async () => {
      const made = await rotateKeys(making, server)
      options.log?.(`Signing with new keys: ${JSON.stringify(made)}`)
      return made
    }
    front.forward(server.port, { [rotatePath]: rotate })
    return { issuer, certificate: kept.server.certificate, kept, plans, fileOf, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

const hostOf = (url: string) => new URL(url).hostname.replace(/^\[|\]$/g, '')

function authorityOf(url: string): string {
  const { hostname, port, protocol } = new URL(url)
  return `${hostname}:${port || (protocol === 'https:' ? 443 : 80)}`
}

/** Every algorithm signs with a new key from now on; those before stay published. Done when everybody can see it. */
async function rotateKeys(making: KeyMaking, { url, port }: RunningServer): Promise<Record<string, string>> {
  const now = new Date()
  const made: Record<string, string> = {}
  for (const alg of algorithms) {
    const kid = await rotateSigningKey(making, alg, now, now)
    if (kid) made[alg] = kid
  }
  const headers = { host: new URL(url).host }
  const deadline = AbortSignal.timeout(10_000)
  for (;;) {
    const { json } = await send(`http://127.0.0.1:${port}${routes.jwks}`, { headers })
    const published = ((json.keys ?? []) as { kid: string }[]).map(({ kid }) => kid)
    if (Object.values(made).every((kid) => published.includes(kid))) return made
    // The server looks for new keys once a second.
    await pause(100, undefined, { signal: deadline })
  }
}

const defaults = {
  host: '127.0.0.1',
  port: '3443',
  suite: 'https://localhost.emobix.co.uk:8443',
  alias: 'hitotsu',
  data: '.hitotsu/conformance',
}

const help = `Starts Hitotsu as the OpenID Foundation's conformance suite needs it.

  --issuer URL      how the suite and its browser reach it (default: https://localhost and the port)
  --port NUMBER     where it listens (default: ${defaults.port})
  --host ADDRESS    on which address (default: ${defaults.host}; for a suite in a container: 0.0.0.0)
  --suite URL       the base URL of the suite (default: ${defaults.suite})
  --alias NAME      what runs are called there (default: ${defaults.alias})
  --data FOLDER     what is kept for the next start (default: ${defaults.data})
`

function readOptions(): ServeOptions | undefined {
  const text = { type: 'string' } as const
  const { values } = parseArgs({
    options: {
      ...{ issuer: text, help: { type: 'boolean' } },
      ...Object.fromEntries(
        Object.entries(defaults).map(([name, value]) => [name, { ...text, default: value }]),
      ),
    } as { [name in keyof typeof defaults]: { type: 'string'; default: string } } & {
      issuer: { type: 'string' }
      help: { type: 'boolean' }
    },
  })
  if (values.help) return undefined
  const { port, suite, ...rest } = values
  // Of this machine's settings none else: its database is not for such clients.
  const env = { LOG_LEVEL: process.env.LOG_LEVEL || 'warn' }
  return { ...rest, port: Number(port), suite: suite.replace(/\/+$/, ''), env, log: console.log }
}

function welcome({ issuer, kept, plans, fileOf }: ConformanceServer, { suite, data }: ServeOptions): string {
  const lines = plans.flatMap((plan) => {
    const variant = Object.entries(plan.variant).map(([name, value]) => `[${name}=${value}]`)
    return [
      `    ${plan.plan}${variant.join('')}`,
      `        ${fileOf(plan)}`,
      ...(plan.note ? [`        ${plan.note}`] : []),
      '',
    ]
  })
  return `
  Hitotsu is ready for the conformance suite at ${suite}.

    Discovery      ${issuer}/.well-known/openid-configuration
    Member         ${memberEmail}
    Password       ${kept.memberPassword}
    Certificate    ${join(data, certificateFile)}, self-signed
    Secrets        ${join(data, 'world.json')}, with private keys: for tests alone
    Rotate keys    curl --insecure -X POST ${issuer}${rotatePath}

  The plans, each with its variant and its configuration:

${lines.join('\n')}
  On a page of the suite: "Create a new test plan", choose plan and variant, "JSON", paste the file.
  From its source folder, for any line above:

    CONFORMANCE_SERVER=${suite}/ CONFORMANCE_DEV_MODE=1 \\
      python3 scripts/run-test-plan.py '<plan and variant>' <file>

  Run one plan at a time: they share the alias. A suite in a container does not find localhost here:
  start with --host 0.0.0.0 --issuer https://host.docker.internal:3443, or what this machine is called there.

  Ctrl-C stops everything; the next start finds its data again, and plans that were made go on working.
`
}

/** The suite's own certificate is self-signed, another one on every machine, and this server calls it. */
function trustTheSuite(): void {
  console.warn('Certificates of others are not checked in this process: the one of the suite is self-signed.')
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
}

async function main(): Promise<void> {
  const options = readOptions()
  if (!options) return console.log(help)
  trustTheSuite()
  const starting = serveConformance(options)
  toldToEnd().addEventListener('abort', async () => {
    const server = await starting.catch(() => undefined)
    await server?.stop()
    process.exit(0)
  })
  try {
    console.log(welcome(await starting, options))
  } catch (error) {
    console.error(error instanceof ConfigError ? error.message : error)
    process.exitCode = 1
  }
}

if (import.meta.main) await main()
