import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'

/** How this authorization server behaves: all of it may change during a test. */
export interface OAuth2Behavior {
  /** What its userinfo address tells of whoever signs in, as it is. */
  userinfo: unknown
  decline: boolean
  /** How a client has to prove who it is. */
  clientAuthentication: 'client_secret_basic' | 'client_secret_post'
  /** Answers `iss` (RFC 9207), this one. */
  iss?: string
  /** Seconds; null says nothing of it. */
  expiresIn: number | null
  /** Instead of the answer of this path. */
  answers: Record<string, (response: ServerResponse) => void>
}

export interface SeenRequest {
  method: string
  path: string
  query: URLSearchParams
  form: URLSearchParams
  authorization: string | undefined
}

export interface OAuth2Server {
  origin: string
  behavior: OAuth2Behavior
  /** The requests it got, in order. */
  requests: SeenRequest[]
  /** As a member does who takes back what they allowed: refresh tokens end. */
  revokeEverything(): void
  close(): Promise<void>
}

interface Grant {
  redirectUri: string
  challenge: string
}

/**
 * A real OAuth 2.0 authorization server without OpenID Connect: codes that work once and only with their verifier and
 * callback, refresh tokens that rotate, revocation. Everybody is signed in at once. It belongs to one test.
 */
export async function startOAuth2Server(
  client: { id: string; secret: string },
  given: Partial<OAuth2Behavior> = {},
): Promise<OAuth2Server> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening on a port')
  const origin = `http://127.0.0.1:${address.port}`
  const behavior: OAuth2Behavior = {
    userinfo: { id: 'member-1' },
    decline: false,
    clientAuthentication: 'client_secret_basic',
    expiresIn: 3600,
    answers: {},
    ...given,
  }
  const state = { codes: new Map<string, Grant>(), access: new Set<string>(), refresh: new Set<string>() }
  const requests: SeenRequest[] = []
  server.on('request', async (request, response) => {
    const seen = await read(request, origin)
    requests.push(seen)
    const instead = behavior.answers[seen.path]
    if (instead) instead(response)
    else answer(seen, response, { client, behavior, state })
  })
  return {
    origin,
    behavior,
    requests,
    revokeEverything: () => state.refresh.clear(),
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

interface World {
  client: { id: string; secret: string }
  behavior: OAuth2Behavior
  state: { codes: Map<string, Grant>; access: Set<string>; refresh: Set<string> }
}

async function read(request: IncomingMessage, origin: string): Promise<SeenRequest> {
  const { pathname, searchParams } = new URL(request.url ?? '/', origin)
  return {
    method: request.method ?? '',
    path: pathname,
    query: searchParams,
    form: new URLSearchParams(await text(request)),
    authorization: request.headers.authorization,
  }
}

function answer(seen: SeenRequest, response: ServerResponse, world: World): ServerResponse {
  if (seen.path === '/authorize') return authorize(seen, response, world)
  if (seen.path === '/me') return tellUserinfo(seen, response, world)
  if (!isClient(seen, world)) return json(response, 401, { error: 'invalid_client' })
  if (seen.path === '/token') return giveTokens(seen, response, world)
  if (seen.path !== '/revoke') return json(response, 404, { error: 'not_found' })
  world.state.refresh.delete(seen.form.get('token') ?? '')
  world.state.access.delete(seen.form.get('token') ?? '')
  return json(response, 200, {})
}

/** RFC 6749 section 4.1.1, RFC 7636 section 4.3: without S256 nobody is sent on. */
function authorize(
  { query }: SeenRequest,
  response: ServerResponse,
  { client, behavior, state }: World,
): ServerResponse {
  const redirectUri = query.get('redirect_uri') ?? ''
  const back = new URL(redirectUri)
  back.searchParams.set('state', query.get('state') ?? '')
  if (behavior.iss !== undefined) back.searchParams.set('iss', behavior.iss)
  const challenge = query.get('code_challenge') ?? ''
  const isGood =
    query.get('client_id') === client.id && query.get('code_challenge_method') === 'S256' && challenge !== ''
  if (!isGood) back.searchParams.set('error', 'invalid_request')
  else if (behavior.decline) back.searchParams.set('error', 'access_denied')
  else {
    const code = randomUUID()
    state.codes.set(code, { redirectUri, challenge })
    back.searchParams.set('code', code)
  }
  return response.writeHead(302, { location: back.href }).end()
}

function isClient({ form, authorization }: SeenRequest, { client, behavior }: World): boolean {
  if (behavior.clientAuthentication === 'client_secret_post')
    return form.get('client_id') === client.id && form.get('client_secret') === client.secret
  const credentials = `${encodeURIComponent(client.id)}:${encodeURIComponent(client.secret).replaceAll('%20', '+')}`
  return authorization === `Basic ${Buffer.from(credentials).toString('base64')}`
}

function giveTokens(
  { form }: SeenRequest,
  response: ServerResponse,
  { behavior, state }: World,
): ServerResponse {
  if (form.get('grant_type') === 'refresh_token') {
    if (!state.refresh.delete(form.get('refresh_token') ?? ''))
      return json(response, 400, { error: 'invalid_grant' })
  } else {
    const grant = state.codes.get(form.get('code') ?? '')
    state.codes.delete(form.get('code') ?? '')
    const challenge = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url')
    if (!grant || grant.redirectUri !== form.get('redirect_uri') || grant.challenge !== challenge)
      return json(response, 400, { error: 'invalid_grant' })
  }
  const tokens = { access_token: `access-${randomUUID()}`, refresh_token: `refresh-${randomUUID()}` }
  state.access.add(tokens.access_token)
  state.refresh.add(tokens.refresh_token)
  const { expiresIn } = behavior
  return json(response, 200, {
    ...tokens,
    token_type: 'Bearer',
    ...(expiresIn !== null && { expires_in: expiresIn }),
  })
}

function tellUserinfo(
  { authorization = '' }: SeenRequest,
  response: ServerResponse,
  { behavior, state }: World,
): ServerResponse {
  if (!state.access.has(authorization.replace(/^Bearer /, '')))
    return json(response, 401, { error: 'invalid_token' })
  return json(response, 200, behavior.userinfo)
}

function json(response: ServerResponse, status: number, body: unknown): ServerResponse {
  // As it is, so that what JSON cannot say exactly can be told wrongly, too.
  const said = typeof body === 'string' ? body : JSON.stringify(body)
  return response.writeHead(status, { 'content-type': 'application/json' }).end(said)
}
