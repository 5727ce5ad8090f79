import { routes } from '../../src/oidc/routes.ts'
import type { GivenClient } from '../support/given.ts'
import type { Exchange, Reply, Worker } from './load.ts'
import { cookieHeader, type OpenForm, openForms, type SignedIn, signIn } from './members.ts'
import { resource, type Side } from './sides.ts'

/** One kind of request. */
export interface Flow {
  name: string
  /** The least ratio to keep. */
  target?: number
  /** Makes ready what the requests need, once; then workers for each round. */
  prepare(side: Side): Promise<(seconds: number) => Promise<Worker[]>>
}

const workerCount = 16
const tokenCount = 48
/** More sign-ins than two cores can verify in a second. */
const signInsPerSecond = 80

export const flows: Flow[] = [
  { name: 'client_credentials', target: 0.8, prepare: clientCredentials },
  { name: 'refresh', target: 0.6, prepare: refresh },
  { name: 'userinfo', target: 0.8, prepare: userinfo },
  { name: 'introspection', target: 0.8, prepare: introspection },
  { name: 'discovery', prepare: discovery },
  { name: 'authorization_with_session', prepare: authorizationWithSession },
  { name: 'password_login', prepare: passwordLogin },
]

/** A JWT for an API (RFC 9068), for many clients in turn. */
async function clientCredentials({ machines }: Side) {
  const asked = { grant_type: 'client_credentials', resource, scope: 'read' }
  const requests = machines.map((client) => form(routes.token, client, asked))
  return async () => takingTurns(requests, 200, '"access_token":"ey')
}

/** Each worker carries a chain of its own; it begins anew each round, because the in-memory adapter slows down as a chain grows. */
async function refresh(side: Side) {
  return async () => {
    const members = await signIn(side, workerCount, 'openid offline_access')
    return members.map(({ client, tokens }): Worker => {
      let { refresh_token: token = '' } = tokens
      return {
        next: () => form(routes.token, client, { grant_type: 'refresh_token', refresh_token: token }),
        took: (reply) => {
          expectReply(reply, 200, '"id_token"')
          token = JSON.parse(reply.text).refresh_token
        },
      }
    })
  }
}

async function userinfo(side: Side) {
  const requests = (await signIn(side, tokenCount, 'openid profile email')).map(
    ({ tokens }): Exchange => ({
      method: 'GET',
      path: routes.userinfo,
      headers: { authorization: `Bearer ${tokens.access_token}` },
    }),
  )
  return async () => takingTurns(requests, 200, '"email"')
}

async function introspection(side: Side) {
  const requests = (await signIn(side, tokenCount, 'openid profile email')).map(({ client, tokens }) =>
    form(routes.introspection, client, { token: tokens.access_token, token_type_hint: 'access_token' }),
  )
  return async () => takingTurns(requests, 200, '"active":true')
}

async function discovery() {
  const request: Exchange = { method: 'GET', path: '/.well-known/openid-configuration', headers: {} }
  return async () => takingTurns([request], 200, '"issuer"')
}

/** Single sign-on: who is signed in and has consented is sent back with a code. Cookies are kept as a browser does. */
async function authorizationWithSession(side: Side) {
  const members = await signIn(side, workerCount, 'openid profile email')
  return async () => members.map(returning)
}

function returning({ client, browser }: SignedIn): Worker {
  const parameters = new URLSearchParams({
    client_id: client.id,
    redirect_uri: client.redirectUri,
    response_type: 'code',
    scope: 'openid profile email',
    state: 'state',
    nonce: 'nonce',
    code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
    code_challenge_method: 'S256',
  })
  const path = `${routes.authorization}?${parameters}`
  let cookie = cookieHeader(browser)
  return {
    next: () => ({ method: 'GET', path, headers: { cookie, accept: 'text/html' } }),
    took: (reply) => {
      expectReply(reply, 303)
      if (!/[?&]code=/.test(String(reply.headers.location)))
        throw new Error(`no code: ${reply.headers.location}`)
      cookie = renewed(cookie, reply)
    },
  }
}

/** The post of the sign-in form, up to the redirect. The bare side verifies the same hash: what differs is the rest. */
async function passwordLogin(side: Side) {
  return async (seconds: number) => {
    const forms = await openForms(side, Math.ceil(signInsPerSecond * seconds))
    return share(forms).map(
      (own): Worker => ({
        next: () => {
          const filled: OpenForm | undefined = own.pop()
          return filled && { ...filled, method: 'POST' }
        },
        took: (reply) => expectReply(reply, 303),
      }),
    )
  }
}

/** Each worker asks its share of the requests in turn. */
function takingTurns(requests: readonly Exchange[], status: number, part: string): Worker[] {
  return Array.from({ length: workerCount }, (_, first) => {
    let at = first
    return {
      next: () => {
        const request = requests[at % requests.length]
        at += workerCount
        return request
      },
      took: (reply) => expectReply(reply, status, part),
    }
  })
}

function share<T>(things: readonly T[]): T[][] {
  return Array.from({ length: workerCount }, (_, worker) =>
    things.filter((_, i) => i % workerCount === worker),
  )
}

function form(path: string, { id, secret }: GivenClient, fields: Record<string, string>): Exchange {
  return {
    method: 'POST',
    path,
    headers: {
      authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
    body: new URLSearchParams(fields).toString(),
  }
}

function expectReply(reply: Reply, status: number, part = ''): void {
  if (reply.status !== status || !reply.text.includes(part))
    throw new Error(`expected ${status} ${part}, got ${reply.status} ${reply.text.slice(0, 400)}`)
}

function renewed(cookie: string, { headers }: Reply): string {
  const jar = new Map(cookie.split('; ').map((pair) => [pair.slice(0, pair.indexOf('=')), pair]))
  for (const line of [headers['set-cookie'] ?? []].flat()) {
    const [pair = ''] = line.split(';')
    jar.set(pair.slice(0, pair.indexOf('=')), pair)
  }
  return [...jar.values()].join('; ')
}
