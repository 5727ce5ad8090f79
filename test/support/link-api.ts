import { randomInt } from 'node:crypto'
import { expect } from 'vitest'
import type { TestApp } from './app.ts'
import type { Browser, Page } from './browser.ts'
import { type GivenClient, type GivenMember, givenClient, givenConnection } from './given.ts'
import { type Answer, post, send } from './post.ts'

/** What a program sends to our own API, with a token or without. */
export function callApi(
  server: Pick<TestApp, 'issuer'>,
  path: string,
  body: unknown,
  { token, headers = {} }: { token?: string | undefined; headers?: Record<string, string> } = {},
): Promise<Answer> {
  return send(new URL(`/api${path}`, server.issuer), {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'x-forwarded-for': `198.18.${randomInt(1, 255)}.${randomInt(1, 255)}`,
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...headers,
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
}

/** A shop that may vouch for accounts of a connection of its own, whose server can get tokens for itself. */
export async function givenShop(
  server: Parameters<typeof givenClient>[0],
  connectionId: string,
  input: Parameters<typeof givenClient>[1] = {},
): Promise<GivenClient> {
  await givenConnection(server, {
    id: connectionId,
    kind: 'ticket',
    issuer: `https://${connectionId}.example.com`,
  })
  return givenClient(server, {
    id: `${connectionId}-backend`,
    clientUri: `https://${connectionId}.example.com/`,
    connections: [connectionId],
    vouchConnections: [connectionId],
    metadata: { grant_types: ['authorization_code', 'refresh_token', 'client_credentials'] },
    ...input,
  })
}

/** A client's own token for the API. */
export async function apiToken(
  server: Pick<TestApp, 'issuer'>,
  client: GivenClient,
  scope = 'links:vouch',
): Promise<string> {
  const resource = `${server.issuer}/api`
  const answer = await post(
    server,
    '/token',
    { grant_type: 'client_credentials', resource, scope },
    { client },
  )
  expect(answer.status).toBe(200)
  return String(answer.json.access_token)
}

/** From the page of an invitation, past the sign-in, to the page that asks for the agreement. */
export async function acceptInvitation(
  browser: Browser,
  url: string,
  { email, password }: Pick<GivenMember, 'email' | 'password'>,
): Promise<Page> {
  const signIn = await browser.submit(await browser.open(url), '/accept')
  expect(signIn.url.pathname).toMatch(/\/sign-in$/)
  return browser.submit(signIn, '/sign-in', { email, password })
}
