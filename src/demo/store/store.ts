import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { bodyParser } from '@koa/bodyparser'
import Router from '@koa/router'
import Koa from 'koa'
import { type Accounts, openAccounts } from './accounts.ts'
import { createGuard, friendlyErrors } from './guard.ts'
import { favicon } from './layout.ts'
import { createRelyingParty } from './relying-party.ts'
import { createSessions } from './sessions.ts'
import { createShopRoutes } from './shop.routes.ts'
import { createSignInRoutes } from './sign-in.routes.ts'
import { openState, type StoreState } from './state.ts'
import { createUpstreamRoutes } from './upstream.routes.ts'
import { createUpstream, mountUpstream, type UpstreamClient } from './upstream.ts'

export interface StoreOptions {
  /** 0 takes a free port. */
  port: number
  host?: string
  /** Where browsers reach the store, when that is not host and port. */
  publicUrl?: string
  /** The identity provider's issuer; it may start after the store. */
  issuer: string
  clientId: string
  clientSecret: string
  /** Who may use the store's own accounts to sign in or link. */
  upstreamClient: UpstreamClient
  /** JSON file that carries accounts and keys over to the next start. */
  statePath?: string
  now?: () => Date
}

export interface Store {
  url: string
  close(): Promise<void>
}

/** An online shop that trusts the identity provider, and has accounts of its own that can be linked there. */
export async function startStore(options: StoreOptions): Promise<Store> {
  const { host = '127.0.0.1' } = options
  const file = await openState(options.statePath)
  const accounts = await openAccounts(file)
  const server = createServer().listen(options.port, host)
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The store is not listening on a port')
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host
  const url = new URL(options.publicUrl ?? `http://${name}:${address.port}`).origin

  const app = createStoreApp(url, options, { state: file.state, accounts })
  server.on('request', app.callback())
  return {
    url,
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

function createStoreApp(
  url: string,
  options: StoreOptions,
  { state, accounts }: { state: StoreState; accounts: Accounts },
): Koa {
  const { now = () => new Date() } = options
  const upstream = createUpstream(url, options.upstreamClient, { accounts, state, now })
  const relyingParty = createRelyingParty(
    { ...options, redirectUri: `${url}/callback`, postLogoutRedirectUri: `${url}/signed-out` },
    now,
  )
  const sessions = createSessions()

  const app = new Koa()
  app.use(createGuard(new URL(url), options.issuer))
  app.use(mountUpstream(upstream))
  app.use(friendlyErrors)
  app.use(bodyParser({ enableTypes: ['form'] }))
  app.use(createShopRoutes(sessions).routes())
  app.use(createSignInRoutes({ url, relyingParty, sessions }).routes())
  app.use(createUpstreamRoutes(upstream, accounts, now).routes())
  app.use(createFileRoutes().routes())
  return app
}

function createFileRoutes(): Router {
  const router = new Router()
  router.get('/store.css', async (ctx) => {
    const sheets = ['base.css', 'forms.css', 'shop.css', 'panels.css']
    const texts = await Promise.all(sheets.map((name) => readFile(new URL(name, import.meta.url), 'utf8')))
    ctx.type = 'text/css'
    ctx.body = texts.join('\n')
  })
  router.get('/favicon.svg', (ctx) => {
    ctx.type = 'image/svg+xml'
    ctx.body = favicon
  })
  return router
}
