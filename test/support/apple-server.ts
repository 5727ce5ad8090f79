import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { exportJWK, type JWTPayload, jwtVerify, SignJWT } from 'jose'

export const appleClient = { id: 'com.example.web', teamId: 'ABCDE12345', keyId: 'FGHIJ67890' }

export interface AppleServer {
  issuer: string
  /** The .p8 file of our client, as Apple lets it be downloaded. */
  p8: string
  /** What goes into the ID token besides who, for whom and when. */
  claims: JWTPayload
  /** The client secrets it got, each opened and found genuine; others are refused. */
  secrets: { header: { alg: string; kid?: string | undefined }; claims: JWTPayload }[]
  /** The parameters with which a browser was last sent here. */
  asked: URLSearchParams
  /** What the browser posts to our callback once the member has agreed. */
  agree(user?: string): URLSearchParams
  /** What Apple posts when something happened to an account. */
  notify(claims: JWTPayload): Promise<string>
  close(): Promise<void>
}

/** Signs in with Apple as its documentation describes it: signed client secrets, RS256 ID tokens, answers by form. */
export async function startAppleServer(): Promise<AppleServer> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening on a port')
  const issuer = `http://127.0.0.1:${address.port}`
  const ofClient = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const signing = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const jwk = { ...(await exportJWK(signing.publicKey)), kid: 'apple', alg: 'RS256', use: 'sig' }
  const codes = new Map<string, URLSearchParams>()
  const apple: AppleServer = {
    issuer,
    p8: String(ofClient.privateKey.export({ type: 'pkcs8', format: 'pem' })),
    claims: {},
    secrets: [],
    asked: new URLSearchParams(),
    agree(user) {
      const code = randomUUID()
      codes.set(code, apple.asked)
      return new URLSearchParams({ code, state: apple.asked.get('state') ?? '', ...(user && { user }) })
    },
    async notify(claims) {
      const signed = await new SignJWT({ iss: issuer, aud: appleClient.id, jti: randomUUID(), ...claims })
        .setProtectedHeader({ alg: 'RS256', kid: 'apple' })
        .sign(signing.privateKey)
      return JSON.stringify({ payload: signed })
    },
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }

  const giveTokens = async (request: IncomingMessage, response: ServerResponse) => {
    const form = new URLSearchParams(await text(request))
    const secret = await jwtVerify(form.get('client_secret') ?? '', ofClient.publicKey, {
      issuer: appleClient.teamId,
      subject: appleClient.id,
      audience: issuer,
    }).catch(() => undefined)
    if (!secret) return json(response, { error: 'invalid_client' }, 400)
    apple.secrets.push({ header: secret.protectedHeader, claims: secret.payload })
    const asked = codes.get(form.get('code') ?? '')
    codes.delete(form.get('code') ?? '')
    if (!asked) return json(response, { error: 'invalid_grant' }, 400)
    const idToken = await new SignJWT({ nonce: asked.get('nonce') ?? '', ...apple.claims })
      .setProtectedHeader({ alg: 'RS256', kid: 'apple' })
      .setIssuer(issuer)
      .setAudience(appleClient.id)
      .setSubject('000792.d71059495fa24644b94e4a644e2e3b4a.0638')
      .setIssuedAt()
      .setExpirationTime('10m')
      .sign(signing.privateKey)
    const tokens = { access_token: randomUUID(), refresh_token: randomUUID(), token_type: 'Bearer' }
    return json(response, { ...tokens, expires_in: 3600, id_token: idToken })
  }

  server.on('request', (request, response) => {
    const url = new URL(request.url ?? '/', issuer)
    if (url.pathname === '/auth/token') return void giveTokens(request, response)
    if (url.pathname === '/auth/keys') return json(response, { keys: [jwk] })
    if (url.pathname === '/.well-known/openid-configuration') return json(response, metadata(issuer))
    apple.asked = url.searchParams
    response.setHeader('content-type', 'text/html; charset=utf-8')
    response.end(page(apple))
  })
  return apple
}

const metadata = (issuer: string) => ({
  issuer,
  authorization_endpoint: `${issuer}/auth/authorize`,
  token_endpoint: `${issuer}/auth/token`,
  revocation_endpoint: `${issuer}/auth/revoke`,
  jwks_uri: `${issuer}/auth/keys`,
  response_types_supported: ['code'],
  response_modes_supported: ['query', 'fragment', 'form_post'],
  id_token_signing_alg_values_supported: ['RS256'],
  token_endpoint_auth_methods_supported: ['client_secret_post'],
})

/** The page that a member agrees on. Its form goes to another site than its own, as Apple's does. */
function page({ asked, agree }: AppleServer): string {
  const fields = [...agree('{"name":{"firstName":"花子","lastName":"鈴木"}}')].map(
    ([name, value]) => `<input type="hidden" name="${name}" value="${value.replaceAll('"', '&quot;')}">`,
  )
  return `<!doctype html><html lang="en"><head><title>Sign in</title><meta name="viewport" content="width=device-width">
    </head><body><main><h1>Sign in</h1><form method="post" action="${asked.get('redirect_uri')}">${fields.join('')}
    <button>Continue</button></form></main></body></html>`
}

function json(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
