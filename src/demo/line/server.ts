import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import Koa, { type Context, type Next } from 'koa'
import { accountLinkRoutes } from './account-link.routes.ts'
import { authorizeRoutes } from './authorize.routes.ts'
import { botRoutes } from './bot.routes.ts'
import { controlRoutes } from './control.routes.ts'
import { type Control, createControl } from './control.ts'
import { html, sendPage } from './html.ts'
import { injectFailures } from './injected-failures.ts'
import { inspectionRoutes } from './inspection.routes.ts'
import { liffRoutes } from './liff.routes.ts'
import { messageRoutes } from './messages.routes.ts'
import { phoneRoutes } from './phone.routes.ts'
import { profileRoutes } from './profile.routes.ts'
import { PageRefusal, Refusal } from './refusal.ts'
import { richMenuRoutes } from './rich-menus.routes.ts'
import type { SimulatorSeed } from './seed.ts'
import type { Simulator } from './simulator.ts'
import { createState } from './state.ts'
import { readStateFile, writeStateFile } from './state-file.ts'
import { textsFor } from './texts.ts'
import { tokenRoutes } from './token.routes.ts'

export type LineSimulatorOptions = {
  /** 0 picks a free one. */
  port: number
  /** The address to listen on; the loopback interface unless given. */
  host?: string
  /** What `iss` says; the simulator's own origin unless given. */
  issuer?: string
  seed?: SimulatorSeed
  now?: () => Date
  /** A JSON file that keeps everything across restarts; its content wins over `seed`. */
  statePath?: string
  /** Allows NODE_ENV=production. The simulator lets anybody be anybody. */
  force?: boolean
}

export type LineSimulator = {
  url: string
  /** Live data: what is changed here holds for the next request. */
  simulator: Simulator
  control: Control
  /** Resolves when what is being delivered has been, redeliveries included. */
  settled(): Promise<void>
  close(): Promise<void>
}

/**
 * LINE's login, messaging and LIFF servers in one process, on one origin.
 * @throws Error in production, unless forced.
 */
export async function startLineSimulator(options: LineSimulatorOptions): Promise<LineSimulator> {
  if (process.env.NODE_ENV === 'production' && !options.force) {
    throw new Error('The LINE simulator refuses to run with NODE_ENV=production')
  }
  const { port, host = '127.0.0.1', statePath, now = () => new Date() } = options
  // A file of an earlier version lacks what was added since; that part starts fresh.
  const state = { ...(await createState(options.seed)), ...(statePath && readStateFile(statePath)) }
  const server = createServer()
  server.listen(port, host)
  await once(server, 'listening')
  const url = `http://${nameOf(host)}:${portOf(server)}`

  const background = new Set<Promise<void>>()
  const stop = new AbortController()
  const sim: Simulator = {
    state,
    url,
    issuer: options.issuer ?? url,
    realNow: now,
    stopped: stop.signal,
    inBackground: (task) => {
      const tracked = task.catch(ignoreStopped).finally(() => {
        background.delete(tracked)
        save()
      })
      background.add(tracked)
    },
  }
  const control = createControl(sim, options.seed ?? {})
  const save = () => statePath && writeStateFile(statePath, sim.state)
  server.on('request', createApp(sim, control, save).callback())
  return {
    url,
    simulator: sim,
    control,
    settled: async () => {
      await Promise.all(background)
    },
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
      stop.abort()
      await Promise.all(background)
      save()
    },
  }
}

function ignoreStopped(error: unknown): void {
  if (!(error instanceof Error && error.name === 'AbortError')) throw error
}

function nameOf(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1'
  return host.includes(':') ? `[${host}]` : host
}

function portOf(server: Server): number {
  const address = server.address()
  return typeof address === 'object' && address ? address.port : 0
}

const allRoutes = [
  authorizeRoutes,
  tokenRoutes,
  inspectionRoutes,
  profileRoutes,
  accountLinkRoutes,
  messageRoutes,
  botRoutes,
  richMenuRoutes,
  liffRoutes,
]

function createApp(sim: Simulator, control: Control, save: () => void): Koa {
  const app = new Koa()
  app.use(async (ctx, next) => {
    ctx.set('x-line-request-id', randomUUID())
    ctx.set('x-content-type-options', 'nosniff')
    try {
      await next()
    } finally {
      save()
    }
  })
  app.use(answerRefusals)
  app.use(injectFailures(sim))
  for (const routes of allRoutes) {
    app.use(routes(sim).routes())
  }
  app.use(controlRoutes(sim, control).routes())
  app.use(phoneRoutes(sim, control).routes())
  return app
}

async function answerRefusals(ctx: Context, next: Next): Promise<void> {
  try {
    await next()
    if (ctx.status === 404 && ctx.body === undefined) {
      ctx.status = 404
      ctx.body = { message: 'Not found' }
    }
  } catch (error) {
    if (error instanceof PageRefusal && ctx.path.startsWith('/__sim')) {
      ctx.status = 400
      ctx.body = { message: error.text }
    } else if (error instanceof PageRefusal) {
      const texts = textsFor(ctx)
      sendPage(
        ctx,
        { texts, title: texts.errorTitle, body: html`<p role="alert">${texts[error.text]}</p>` },
        400,
      )
    } else if (error instanceof Refusal) {
      ctx.status = error.status
      ctx.set(error.headers)
      ctx.body = error.body
    } else {
      throw error
    }
  }
}
