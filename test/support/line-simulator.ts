import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { defaultSeed, type SimulatorSeed } from '../../src/demo/line/seed.ts'
import { type LineSimulator, startLineSimulator } from '../../src/demo/line/server.ts'
import type { LoginChannel, MessagingChannel } from '../../src/demo/line/state.ts'

export const callbackUrl = 'http://rp.example.com/callback'
export const loginChannelId = '1234567890'
export const botChannelId = '1234567891'

/** A simulator of its own for each test file, with one callback URL registered. */
export function startSimulator(
  seed: SimulatorSeed = {},
  now?: () => Date,
  issuer?: string,
): Promise<LineSimulator> {
  return startLineSimulator({
    port: 0,
    seed: { ...defaultSeed([callbackUrl]), ...seed },
    ...(now && { now }),
    ...(issuer && { issuer }),
  })
}

export function loginChannelOf({ simulator }: LineSimulator): LoginChannel {
  const channel = simulator.state.channels[loginChannelId]
  if (channel?.kind !== 'login') throw new Error('The login channel is missing')
  return channel
}

export function botChannelOf({ simulator }: LineSimulator): MessagingChannel {
  const channel = simulator.state.channels[botChannelId]
  if (channel?.kind !== 'messaging') throw new Error('The messaging channel is missing')
  return channel
}

type Page = { status: number; url: string; html: string; headers: Headers }

/** Follows redirects like a browser, and stops where the page is not the simulator's own. */
export type LineBrowser = {
  open(url: string): Promise<Page>
  submit(page: Page, path: string, fields?: Record<string, string>): Promise<Page>
}

export function openLineBrowser(origin: string, headers: Record<string, string> = {}): LineBrowser {
  const cookies = new Map<string, string>()

  async function load(url: string, init: RequestInit = {}): Promise<Page> {
    const cookie = [...cookies].map((pair) => pair.join('=')).join('; ')
    const response = await fetch(url, { ...init, headers: { ...headers, cookie }, redirect: 'manual' })
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      cookies.set(name, value)
    }
    const location = response.headers.get('location')
    const next = location === null ? undefined : new URL(location, url).href
    if (next?.startsWith(origin)) return load(next)
    return {
      status: response.status,
      url: next ?? url,
      html: await response.text(),
      headers: response.headers,
    }
  }

  return {
    open: (url) => load(url),
    submit: (page, path, fields = {}) => {
      const action = [...page.html.matchAll(/action="([^"]+)"/g)].find(([, found]) =>
        found?.includes(path),
      )?.[1]
      if (action === undefined) throw new Error(`There is no form for ${path} on ${page.url}:\n${page.html}`)
      return load(new URL(action, page.url).href, { method: 'POST', body: new URLSearchParams(fields) })
    },
  }
}

export const verifier = 'a-verifier-of-at-least-forty-three-characters'
export const challenge = createHash('sha256').update(verifier).digest('base64url')

export function authorizeUrl(sim: LineSimulator, params: Record<string, string | undefined> = {}): string {
  const defaults = {
    response_type: 'code',
    client_id: loginChannelId,
    redirect_uri: callbackUrl,
    state: 'state0123456789',
    scope: 'openid profile',
  }
  const entries = Object.entries({ ...defaults, ...params }).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  )
  return `${sim.url}/oauth2/v2.1/authorize?${new URLSearchParams(entries)}`
}

type LoginOptions = {
  params?: Record<string, string | undefined>
  person?: string
  consent?: Record<string, string>
  browser?: LineBrowser
}

/** The whole way of a person from the request to the callback, whose URL is returned. */
export async function logIn(sim: LineSimulator, options: LoginOptions = {}): Promise<URL> {
  const { params, person = 'person-a', consent = {}, browser = openLineBrowser(sim.url) } = options
  let page = await browser.open(authorizeUrl(sim, params))
  if (page.html.includes('/login"')) page = await browser.submit(page, '/login', { person })
  if (page.html.includes('/consent"'))
    page = await browser.submit(page, '/consent', { decision: 'allow', ...consent })
  return new URL(page.url)
}

export type Answer = { status: number; body: Record<string, unknown>; headers: Headers }

/** One call to the API: a form body, a JSON body, or none. */
export async function call(
  sim: LineSimulator,
  path: string,
  options: {
    method?: string
    form?: Record<string, string>
    json?: unknown
    bearer?: string
    headers?: Record<string, string>
  } = {},
): Promise<Answer> {
  const { form, json, bearer, headers = {} } = options
  const body = form ? new URLSearchParams(form) : json === undefined ? undefined : JSON.stringify(json)
  const response = await fetch(`${sim.url}${path}`, {
    method: options.method ?? (body === undefined ? 'GET' : 'POST'),
    headers: {
      ...(json !== undefined && { 'content-type': 'application/json' }),
      ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }),
      ...headers,
    },
    ...(body !== undefined && { body }),
  })
  const text = await response.text()
  return { status: response.status, body: text ? JSON.parse(text) : {}, headers: response.headers }
}

export type TokenSet = {
  access_token: string
  refresh_token: string
  id_token: string
  scope: string
  expires_in: number
}

/** Logs a person in and exchanges the code, as a web client does. */
export async function obtainTokens(
  sim: LineSimulator,
  options: LoginOptions = {},
  extra: Record<string, string> = {},
): Promise<TokenSet> {
  const callback = await logIn(sim, options)
  const answer = await exchange(sim, callback.searchParams.get('code') ?? '', extra)
  if (answer.status !== 200) throw new Error(`No tokens: ${JSON.stringify(answer.body)}`)
  return answer.body as TokenSet
}

export function exchange(
  sim: LineSimulator,
  code: string,
  extra: Record<string, string> = {},
): Promise<Answer> {
  return call(sim, '/oauth2/v2.1/token', {
    form: {
      grant_type: 'authorization_code',
      code,
      redirect_uri: callbackUrl,
      client_id: loginChannelId,
      client_secret: loginChannelOf(sim).secret,
      ...extra,
    },
  })
}

export async function statelessToken(sim: LineSimulator, channelId: string): Promise<string> {
  const secret = sim.simulator.state.channels[channelId]?.secret ?? ''
  const form = { grant_type: 'client_credentials', client_id: channelId, client_secret: secret }
  return String((await call(sim, '/oauth2/v3/token', { form })).body.access_token)
}

type Delivery = { body: string; signature: string; events: Record<string, unknown>[] }

export type WebhookReceiver = {
  url: string
  deliveries: Delivery[]
  /** The statuses of the next answers; 200 when they have run out. `0` never answers. */
  answers: number[]
  close(): Promise<void>
}

/** The bot server of an official account, which keeps the exact bytes it was sent. */
export async function startWebhookReceiver(): Promise<WebhookReceiver> {
  const deliveries: Delivery[] = []
  const answers: number[] = []
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray()).toString('utf8')
    const signature = String(request.headers['x-line-signature'])
    deliveries.push({ body, signature, events: JSON.parse(body).events })
    const status = answers.shift() ?? 200
    if (status > 0) response.writeHead(status).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/webhook`,
    deliveries,
    answers,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
