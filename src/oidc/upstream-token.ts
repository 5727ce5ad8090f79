import { createHash, X509Certificate } from 'node:crypto'
import { type Client, errors, type Provider, type TokenEndpointGrantContext } from 'oidc-provider'
import {
  checkDpopReplay,
  checkDpopRequired,
  checkMtlsCert,
  findAccount,
  validateDpop,
} from 'oidc-provider/lib/helpers/grants.js'
import { Problem } from '../problem.ts'
import { contentOf, tokenConnectionsOf, upstreamTokensScope } from './grant-content.ts'
import { tellUnavailable } from './unavailable.ts'

/** An upstream's access token of a member, for a client that may be handed it. Handed in: linking keeps the tokens. */
export type HandOut = (asked: {
  memberId: string
  clientId: string
  connectionId: string
}) => Promise<HandedOut>

export type HandedOut =
  | { outcome: 'handed_out'; accessToken: string; expiresInSeconds: number | undefined }
  | { outcome: 'not_linked' | 'needs_relink' | 'expired' | 'not_allowed' }

export const tokenType = {
  idToken: 'urn:ietf:params:oauth:token-type:id_token',
  accessToken: 'urn:ietf:params:oauth:token-type:access_token',
}

/** The engine's own keeps to itself what is wrong; an application has to tell whom to send where. */
export const invalidGrant = (reason: string) => new errors.CustomOIDCProviderError('invalid_grant', reason)

type Context = TokenEndpointGrantContext<{
  [name in
    | 'subject_token'
    | 'requested_token_type'
    | 'audience'
    | 'actor_token'
    | 'scope'
    | 'resource']?: string
}>
type AccessToken = InstanceType<Provider['AccessToken']>

/** What applications are told; they may rely on the words. */
const refusals = {
  not_linked: 'the member has no linked account there',
  needs_relink: 'the member has to link the account again',
  expired: 'the token has run out: the member has to sign in through the connection again',
}

/**
 * RFC 8693: a member's access token here in, the access token of an upstream they have linked out (`audience` names the
 * connection). For clients that an administrator lets have them, within what the member agreed to; never a refresh token.
 */
export async function exchangeForUpstreamToken(ctx: Context, handOut: HandOut): Promise<void> {
  const { client, params } = ctx.oidc
  if (params.actor_token !== undefined)
    throw new errors.InvalidRequest('nobody acts for a member here: actor_token is not supported')
  if (![undefined, tokenType.accessToken].includes(params.requested_token_type))
    throw new errors.InvalidRequest(`requested_token_type must be ${tokenType.accessToken}`)
  // Its scope and target are as the upstream gave it.
  if (params.scope !== undefined || params.resource !== undefined)
    throw new errors.InvalidRequest('the token is as the upstream gave it: name its connection with audience')
  const connectionId = readAudience(client, params.audience)
  const { token, memberId } = await readSubjectToken(ctx)
  await requireAgreement(ctx, token, connectionId)

  const { clientId } = client
  const answer = await handOut({ memberId, clientId, connectionId }).catch(tellRefusal)
  if (answer.outcome === 'not_allowed') throw new errors.InvalidTarget()
  if (answer.outcome !== 'handed_out') throw invalidGrant(refusals[answer.outcome])
  // RFC 8693 section 2.2.1
  ctx.body = {
    access_token: answer.accessToken,
    issued_token_type: tokenType.accessToken,
    token_type: 'Bearer',
    ...(answer.expiresInSeconds !== undefined && { expires_in: answer.expiresInSeconds }),
  }
}

/** RFC 8693 section 2.2.2: a target the client may not have is invalid_target, whether or not it exists. */
function readAudience(client: Client, audience: unknown): string {
  if (typeof audience !== 'string' || audience === '')
    throw new errors.InvalidRequest('audience must name one connection')
  if (!tokenConnectionsOf(client).includes(audience)) throw new errors.InvalidTarget()
  return audience
}

/** A token for userinfo that was issued to this very client, alive, and presented by who holds its key if it has one. */
async function readSubjectToken(ctx: Context): Promise<{ token: AccessToken; memberId: string }> {
  const { client, params, provider } = ctx.oidc
  if (!params.subject_token) throw new errors.InvalidRequest('subject_token is required')
  const dPoP = await validateDpop(provider, ctx)
  checkDpopRequired(provider, ctx, dPoP)
  const certificate = checkMtlsCert(provider, ctx)
  const token = await provider.AccessToken.find(params.subject_token)
  const isOwn = token?.isValid && token.clientId === client.clientId && token.aud === undefined
  // RFC 9449 section 7.1, RFC 8705 section 3: whoever has merely got hold of it is not answered.
  const holdsKey =
    token?.jkt === dPoP?.thumbprint &&
    (token?.['x5t#S256'] === undefined || token['x5t#S256'] === thumbprintOf(certificate))
  if (!isOwn || !holdsKey) throw new errors.InvalidRequest('subject_token is not accepted')
  await checkDpopReplay(provider, ctx, dPoP, client.clientId)
  const account = await findAccount(provider, ctx, token.accountId, token)
  if (!account) throw invalidGrant('the member cannot sign in')
  return { token, memberId: account.accountId }
}

function thumbprintOf(certificate: string | X509Certificate | undefined): string | undefined {
  if (certificate === undefined) return undefined
  const { raw } = certificate instanceof X509Certificate ? certificate : new X509Certificate(certificate)
  return createHash('sha256').update(raw).digest('base64url')
}

async function requireAgreement(
  { oidc: { client, provider } }: Context,
  token: AccessToken,
  connectionId: string,
): Promise<void> {
  const grant = token.grantId ? await provider.Grant.find(token.grantId) : undefined
  if (!grant || !token.scopes.has(upstreamTokensScope) || !grant.getOIDCScopeFiltered([upstreamTokensScope]))
    throw invalidGrant(`subject_token does not cover ${upstreamTokensScope}`)
  // An administrator may have decided that members need not be asked.
  if (client.first_party !== true && !contentOf(grant).tokenConnections.includes(connectionId))
    throw invalidGrant('the member has not agreed to this client')
}

function tellRefusal(cause: unknown): never {
  if (!(cause instanceof Problem) || cause.code !== 'too_many_requests') return tellUnavailable(cause)
  const error = new errors.CustomOIDCProviderError('slow_down', 'too many requests')
  throw Object.assign(error, { status: 429, statusCode: 429, cause })
}
