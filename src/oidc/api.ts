import {
  type AccessToken,
  type Client,
  type ClientCredentials,
  errors,
  type Provider,
  type TokenEndpointGrantContext,
} from 'oidc-provider'
import { checkDpopReplay, findAccount, validateDpop } from 'oidc-provider/lib/helpers/grants.js'
import type { HttpContext } from '../http/context.ts'
import { Problem } from '../problem.ts'
import type { CurrentProvider } from './session.ts'

/** Our own API, as the resource that its access tokens are for (RFC 8707). It needs no registration. */
export const apiResource = (issuer: string) => `${issuer}/api`

/** What a client may do at the API, by the scope that says so. */
export const apiScopes = {
  vouch: 'links:vouch',
  begin: 'links:begin',
  read: 'links:read',
  manage: 'links:manage',
} as const
export type ApiScope = (typeof apiScopes)[keyof typeof apiScopes]

/** The scopes of the API that a client can have follow from what it was registered for. */
export function apiScopesOf(client: Client): ApiScope[] {
  const hasSome = (ids: unknown) => Array.isArray(ids) && ids.length > 0
  return [
    ...(hasSome(client.vouches_for) ? [apiScopes.vouch] : []),
    ...(hasSome(client.allowed_connections) ? [apiScopes.begin, apiScopes.read] : []),
    ...(client.manages_links === true ? [apiScopes.manage] : []),
  ]
}

/** Who calls the API, and how it is found out. */
export interface ApiAccess {
  /**
   * The client whose own token for the API comes with the request, and holds this scope.
   * @throws Problem invalid_token, insufficient_scope
   */
  clientOf(ctx: HttpContext, scope: ApiScope): Promise<string>
  /**
   * The member of the access token that comes with the request, which was given to this client; undefined when none comes.
   * @throws Problem invalid_token
   */
  memberOf(ctx: HttpContext, clientId: string): Promise<string | undefined>
}

/** RFC 6750 and RFC 9449: by access tokens of the engine, each used as it is bound. */
export function apiAccess(provider: CurrentProvider, issuer: string): ApiAccess {
  return {
    async clientOf(ctx, scope) {
      const engine = provider()
      const value = presentedToken(ctx)
      if (value === undefined) throw tokenNeeded()
      const token = await engine.ClientCredentials.find(value)
      if (!token || token.aud !== apiResource(issuer)) throw invalidToken()
      const client = await usedAsBound(engine, ctx, value, token)
      // What it was registered for may have been taken back since the token was made.
      if (!token.scopes.has(scope) || !apiScopesOf(client).includes(scope)) {
        const headers = { 'WWW-Authenticate': `Bearer error="insufficient_scope", scope="${scope}"` }
        throw new Problem('insufficient_scope', { headers })
      }
      return client.clientId
    },
    async memberOf(ctx, clientId) {
      const engine = provider()
      const value = presentedToken(ctx)
      if (value === undefined) return undefined
      const token = await engine.AccessToken.find(value)
      if (!token || token.clientId !== clientId || token.aud !== undefined) throw invalidToken()
      await usedAsBound(engine, ctx, value, token)
      const grant = await engine.Grant.find(token.grantId)
      const account = await findAccount(engine, engineContext(engine, ctx), token.accountId, token)
      if (!account || grant?.accountId !== token.accountId || grant.clientId !== clientId)
        throw invalidToken()
      return account.accountId
    },
  }
}

/** RFC 6750 section 3.1: a request without a token learns of no error. */
const tokenNeeded = () => new Problem('invalid_token', { headers: { 'WWW-Authenticate': 'Bearer' } })

const invalidToken = (cause?: unknown) =>
  new Problem('invalid_token', { cause, headers: { 'WWW-Authenticate': 'Bearer error="invalid_token"' } })

/** RFC 6750 section 2.1, RFC 9449 section 7.1: in the header alone. */
function presentedToken(ctx: HttpContext): string | undefined {
  return /^(?:Bearer|DPoP) ([\w.~+/=-]{1,2000})$/i.exec(ctx.get('Authorization'))?.[1]
}

/** The client of a token that comes the way it has to: RFC 9449 section 7.1, RFC 8705 section 3. */
async function usedAsBound(
  engine: Provider,
  ctx: HttpContext,
  value: string,
  token: AccessToken | ClientCredentials,
): Promise<Client> {
  const client = await engine.Client.find(token.clientId ?? '')
  if (!client) throw invalidToken()
  // A certificate is shown to the endpoints of the engine alone.
  if (token['x5t#S256']) throw invalidToken()
  const isProved = /^DPoP /i.test(ctx.get('Authorization'))
  if (isProved !== (token.jkt !== undefined)) throw invalidToken()
  if (!token.jkt) return client
  const context = engineContext(engine, ctx)
  context.oidc.entity('Client', client)
  try {
    const proof = await validateDpop(engine, context, value)
    if (proof?.thumbprint !== token.jkt) throw invalidToken()
    await checkDpopReplay(engine, context, proof, client.clientId, errors.InvalidToken)
  } catch (error) {
    throw error instanceof errors.OIDCProviderError ? invalidToken(error) : error
  }
  return client
}

/** A request that did not come to an endpoint of the engine, as the engine's own functions want to see it. */
function engineContext(engine: Provider, ctx: HttpContext): TokenEndpointGrantContext {
  const context = ctx as unknown as TokenEndpointGrantContext
  if (context.oidc) return context
  // RFC 9449 section 4.3 (9): the address that a proof has to be for.
  const urlFor = () => `${engine.issuer}${ctx.path}`
  return Object.assign(context, { oidc: Object.assign(new engine.OIDCContext(context), { urlFor }) })
}
