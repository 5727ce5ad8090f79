import type { JWKS } from 'oidc-provider'
import type { HttpContext, HttpMiddleware } from '../http/context.ts'
import type { Logger } from '../telemetry/logger.ts'
import { type KeyPolicy, keySetMaxAgeSeconds, orderForSigning } from './keys/plan.ts'
import { runKeySchedule } from './keys/schedule.ts'
import { type KeyMaking, openSigningKeys, readKeyFacts } from './keys/signing-key.ts'
import type { Engine } from './provider.ts'
import { routes } from './routes.ts'
import type { CurrentProvider } from './session.ts'

/** The engine of a process while its keys come and go. */
export interface EngineHolder {
  provider: CurrentProvider
  /** Always the same one; what has begun with an engine ends with it. */
  middleware: HttpMiddleware
  /** Does at once what otherwise happens within a second. Rejects when it cannot; the engine then stays as it was. */
  refresh(): Promise<void>
  stop(): Promise<void>
}

export interface EngineOptions extends KeyMaking {
  policy: KeyPolicy
  now: () => Date
  log: Logger
  build: (jwks: JWKS) => Engine
  pollMs?: number
}

/**
 * Keeps the engine of this process on the keys of all. Once a second it looks whether other keys are to be published or
 * to sign than those it was built with, be it that they changed or that their time has come, and runs the schedule.
 * While the database is away the engine signs with what it has.
 */
export async function startEngine({ pollMs = 1_000, ...options }: EngineOptions): Promise<EngineHolder> {
  const { log } = options
  const keeper = keepEngine(options)
  await keeper.look()

  let stopped = false
  let isFailing = false
  let timer: NodeJS.Timeout | undefined
  const look = async () => {
    try {
      await keeper.look()
      if (isFailing) log.info('signing keys can be read again')
      isFailing = false
    } catch (error) {
      if (!isFailing) log.error({ err: error }, 'signing keys cannot be read: those in use stay')
      isFailing = true
      throw error
    }
  }
  // One after the other: an engine of older keys never takes the place of a newer one.
  let latest: Promise<void> = Promise.resolve()
  const refresh = async () => {
    if (stopped) return
    latest = latest.then(look, look)
    await latest
  }
  const poll = async () => {
    await refresh().catch(() => undefined)
    schedule()
  }
  const schedule = () => {
    if (!stopped) timer = setTimeout(poll, pollMs).unref()
  }
  schedule()

  return {
    provider: () => keeper.engine().provider,
    middleware: async (ctx, next) => {
      await keeper.engine().middleware(ctx, next)
      letBeCached(ctx)
    },
    refresh,
    async stop() {
      stopped = true
      clearTimeout(timer)
      await latest.catch(() => undefined)
    },
  }
}

/** Builds an engine whenever the keys, or the order in which they sign, are others than before. */
function keepEngine({ db, sealer, random, policy, now, log, build }: Omit<EngineOptions, 'pollMs'>) {
  let engine: Engine | undefined
  let built = ''
  const load = async () => {
    const keys = await readKeyFacts(db)
    const kids = orderForSigning(keys, now()).map(({ kid }) => kid)
    if (kids.length > 0 && kids.join(' ') !== built) {
      engine = build(await openSigningKeys(db, sealer, kids))
      if (built) log.info({ kids }, 'signing keys changed')
      built = kids.join(' ')
    }
    return keys
  }
  return {
    async look(): Promise<void> {
      const keys = await load()
      if (await runKeySchedule({ db, sealer, random }, keys, policy, now())) await load()
    },
    engine(): Engine {
      if (!engine) throw new Error('there are no signing keys')
      return engine
    },
  }
}

const publicDocuments: readonly string[] = [
  routes.jwks,
  '/.well-known/openid-configuration',
  '/.well-known/oauth-authorization-server',
]

/** What relying parties fetch again and again is the same for all of them, and stays good for as long as keys are published ahead. */
function letBeCached(ctx: HttpContext): void {
  if (ctx.status !== 200 || !publicDocuments.includes(ctx.path)) return
  ctx.set('Cache-Control', `public, max-age=${keySetMaxAgeSeconds}`)
  ctx.set('Vary', 'Origin')
  ctx.remove('Content-Language')
}
