import type { X509Certificate } from 'node:crypto'
import {
  type Account,
  errors,
  type Provider,
  type ResourceServerInstance,
  type TokenEndpointGrantContext,
} from 'oidc-provider'
import {
  applyRefreshTokenBindings,
  buildTokenResponse,
  checkDpopReplay,
  checkDpopRequired,
  checkMtlsCert,
  findAccount,
  resolveAndApplyResource,
  resolveRequestedResources,
  shouldIssueRefreshToken,
  validateClientScope,
  validateDpop,
} from 'oidc-provider/lib/helpers/grants.js'
import type { Db } from '../store/db.ts'
import { findGrantId } from './grant.ts'
import { addContent } from './grant-content.ts'
import { tellUnavailable } from './unavailable.ts'
import { exchangeForUpstreamToken, type HandOut, invalidGrant, tokenType } from './upstream-token.ts'

/** Who an ID token of an upstream is about. Handed in: linking knows, and imports this folder. */
export type SubjectOf = (presented: PresentedSubject) => Promise<Subject | SubjectRefusal>

export interface PresentedSubject {
  idToken: string
  /** Unset: the connection that the token itself points to. */
  connectionId: string | undefined
  nonce: string | undefined
  clientId: string
  /** The connections this client may come with. */
  allowedConnections: readonly string[]
}

export interface Subject {
  memberId: string
  /** Seconds: when the upstream gave its word. */
  vouchedAt: number
  /** Uses the token up and writes it down. */
  redeem(scopes: readonly string[]): Promise<SubjectRefusal | undefined>
}

/** `token`: it is not accepted. `member`: it is good, but there is nobody who may be given tokens. */
export interface SubjectRefusal {
  refused: 'token' | 'member'
  reason: string
}

type Grant = InstanceType<Provider['Grant']>
type RefreshToken = InstanceType<Provider['RefreshToken']>
type Context = TokenEndpointGrantContext<{ [name in (typeof parameters)[number]]?: string }>

const parameters = [
  ...(['subject_token', 'subject_token_type', 'actor_token', 'actor_token_type'] as const),
  ...(['requested_token_type', 'audience', 'connection', 'nonce', 'scope', 'resource'] as const),
]
export const tokenExchangeParameters: readonly string[] = parameters
/** RFC 8693 section 2.1: these may be repeated. */
export const tokenExchangeRepeated: readonly string[] = ['resource', 'audience']

/**
 * RFC 8693 for applications that sign members in by themselves (LIFF, native): an upstream's ID token in, our tokens out,
 * for the member it is linked to and within what that member allowed the client. It never makes a member or a link.
 */
export function tokenExchange(db: Db, subjectOf: SubjectOf = nobody, handOut?: HandOut) {
  return async (ctx: Context): Promise<void> => {
    if (ctx.oidc.params.subject_token_type === tokenType.accessToken && handOut)
      return exchangeForUpstreamToken(ctx, handOut)
    const { client, params, provider } = ctx.oidc
    const idToken = readSubjectToken(ctx)
    const dPoP = await validateDpop(provider, ctx)
    checkDpopRequired(provider, ctx, dPoP)
    const certificate = checkMtlsCert(provider, ctx)
    // RFC 8693 section 2.1 leaves the default to us: to learn who it is.
    params.scope ??= 'openid'
    const [resource, ...others] = await resolveRequestedResources(provider, ctx)
    if (others.length > 0) throw new errors.InvalidTarget('one token is for one resource')
    const asked = validateClientScope(provider, ctx)

    const { connection: connectionId, nonce } = params
    const { clientId } = client
    const allowedConnections = Array.isArray(client.allowed_connections) ? client.allowed_connections : []
    const presented = { idToken, connectionId, nonce, clientId, allowedConnections }
    const subject = accept(await subjectOf(presented).catch(tellUnavailable))

    const grant = await grantOf(ctx, db, subject.memberId, asked, resource).catch(tellUnavailable)
    const scopes = scopesIn(grant, asked, resource)
    if (!grant || scopes.length === 0) throw invalidGrant('the member has not agreed to this client')
    await checkDpopReplay(provider, ctx, dPoP, clientId)
    const refusal = await subject.redeem(scopes).catch(tellUnavailable)
    if (refusal) accept(refusal)

    // What the refresh token would be is what the other tokens are made from, whether or not there is to be one.
    const source = new provider.RefreshToken({
      accountId: subject.memberId,
      authTime: subject.vouchedAt,
      client,
      expiresWithSession: false,
      grantId: grant.jti,
      gty: 'token_exchange',
      rotations: 0,
      scope: scopes.join(' '),
      ...(resource && { resource: resource.identifier() }),
    })
    const proof = { ...(dPoP && { jkt: dPoP.thumbprint }), ...(certificate && { x5t: certificate }) }
    ctx.body = await issue(ctx, source, grant, proof)
  }
}

const nobody: SubjectOf = async () => ({ refused: 'member', reason: 'nobody is known here' })

/** RFC 8693 section 2.2.2: what is wrong with the token is invalid_request; a token of nobody we know is no grant. */
function accept(answer: Subject | SubjectRefusal): Subject {
  if (!('refused' in answer)) return answer
  if (answer.refused === 'token') throw new errors.InvalidRequest(answer.reason)
  throw invalidGrant(answer.reason)
}

function readSubjectToken({ oidc: { params } }: Context): string {
  const { subject_token: idToken, subject_token_type: type, requested_token_type: requested } = params
  if (!idToken) throw new errors.InvalidRequest('subject_token is required')
  if (type !== tokenType.idToken)
    throw new errors.InvalidRequest(`subject_token_type must be ${tokenType.idToken}`)
  if (params.actor_token !== undefined || params.actor_token_type !== undefined)
    throw new errors.InvalidRequest('nobody acts for a member here: actor_token is not supported')
  if (requested !== undefined && requested !== tokenType.accessToken)
    throw new errors.InvalidRequest(`requested_token_type must be ${tokenType.accessToken}`)
  if (params.audience !== undefined) throw new errors.InvalidTarget('name the API with resource')
  return idToken
}

/** What the member allowed this client before; an administrator may have decided that members need not be asked. */
async function grantOf(
  { oidc: { client, provider } }: Context,
  db: Db,
  accountId: string,
  asked: ReadonlySet<string>,
  resource: ResourceServerInstance | undefined,
): Promise<Grant | undefined> {
  const { clientId } = client
  const id = await findGrantId(db, accountId, clientId)
  const existing = id ? await provider.Grant.find(id) : undefined
  if (client.first_party !== true) return existing
  const grant = existing ?? new provider.Grant({ accountId, clientId })
  if (addContent(grant, split(asked, resource))) await grant.save()
  return grant
}

async function issue(
  ctx: Context,
  source: RefreshToken,
  grant: Grant,
  { jkt, x5t }: { jkt?: string; x5t?: string | X509Certificate },
) {
  const { client, provider } = ctx.oidc
  const account = await findAccount(provider, ctx, source.accountId, source)
  if (!account) throw invalidGrant('the member cannot sign in')
  for (const [name, value] of Object.entries({ Account: account, Grant: grant, RefreshToken: source }))
    ctx.oidc.entity(name, value)

  const { accountId, gty = '' } = source
  const grantId = grant.jti
  const token = new provider.AccessToken({ accountId, client, expiresWithSession: false, grantId, gty })
  if (x5t) token.setThumbprint('x5t', x5t)
  if (jkt) token.setThumbprint('jkt', jkt)
  await resolveAndApplyResource(provider, ctx, source, token, grant)
  ctx.oidc.entity('AccessToken', token)
  const accessToken = await token.save()

  const renews = await shouldIssueRefreshToken(provider, ctx, source)
  if (renews) await applyRefreshTokenBindings(provider, ctx, token, source)
  const idToken = source.scopes.has('openid') ? await issueIdToken(ctx, source, account) : undefined
  return buildTokenResponse(provider, {
    accessToken,
    idToken,
    expiresIn: token.expiration,
    issuedTokenType: tokenType.accessToken,
    refreshToken: renews ? await source.save() : undefined,
    scope: token.scope,
    tokenType: token.tokenType,
  })
}

/** As the engine does for its own grants: sub alone, and linked_accounts, where the token is good for userinfo. */
async function issueIdToken(ctx: Context, source: RefreshToken, account: Account): Promise<string> {
  const claims = await account.claims('id_token', source.scope ?? '', {}, [])
  const token = new ctx.oidc.provider.IdToken({ ...claims, auth_time: source.authTime }, { ctx })
  Object.assign(token, { scope: 'openid' })
  return token.issue({ use: 'idtoken' })
}

/** What was asked for, told apart: of the member, and at the resource. */
function split(asked: ReadonlySet<string>, resource: ResourceServerInstance | undefined) {
  const isOfResource = (scope: string) => resource?.scopes.has(scope) === true
  return {
    scopes: [...asked].filter((scope) => !isOfResource(scope)),
    resources: resource ? [{ id: resource.identifier(), scopes: [...asked].filter(isOfResource) }] : [],
  }
}

/** RFC 6749 section 3.3: of what was asked for, what was granted. */
function scopesIn(
  grant: Grant | undefined,
  asked: ReadonlySet<string>,
  resource: ResourceServerInstance | undefined,
): string[] {
  const filter = [...asked]
  const scopes = [
    grant?.getOIDCScopeFiltered(filter) ?? '',
    resource ? (grant?.getResourceScopeFiltered(resource.identifier(), filter) ?? '') : '',
  ]
  return scopes.flatMap((text) => text.split(' ')).filter(Boolean)
}
