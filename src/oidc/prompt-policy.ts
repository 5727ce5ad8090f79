import { decodeJwt } from 'jose'
import { type Client, errors, interactionPolicy, type KoaContextWithOIDC } from 'oidc-provider'
import { isSessionEnded } from '../members/member.ts'
import type { Db } from '../store/db.ts'
import { isClaimAllowed, type MemberAccount } from './account.ts'
import { acrCheck } from './acr.ts'
import { contentOf, tokenConnectionsOf, upstreamTokensScope } from './grant-content.ts'
import { linkPrompt, recentSignInCheck } from './link-request.ts'
import type { EngineDeps } from './recent.ts'
import { memberOfSubject, type SubjectsOf } from './subject.ts'

const { Check, Prompt, base } = interactionPolicy

/**
 * What an authorization request must pass. On top of the engine's own checks: the session counts and is the right
 * member's, the link that was asked for is there or was asked for, and consent covers each connection whose linked accounts the client may see.
 */
export function promptPolicy(
  { db, now }: Pick<EngineDeps, 'db' | 'now'>,
  recentSignInSeconds: number,
  subjectsOf: SubjectsOf,
): interactionPolicy.DefaultPolicy {
  const policy = base()
  const login = policy.get('login')
  login?.checks.add(
    new Check('session_ended', 'End-User authentication is required', 'login_required', isSessionOver),
  )
  login?.checks.add(
    new Check('hint', 'another End-User is expected', 'login_required', refuseAnotherMember(db)),
  )
  for (const reason of ['id_token_hint', 'claims_id_token_sub_value']) login?.checks.remove(reason)
  for (const check of subjectChecks(db, subjectsOf)) login?.checks.add(check)
  login?.checks.add(acrCheck())
  login?.checks.add(recentSignInCheck(db, now, recentSignInSeconds))
  const consent = policy.get('consent')
  for (const reason of ['native_client_prompt', 'op_claims_missing']) consent?.checks.remove(reason)
  for (const check of consentChecks()) consent?.checks.add(check)
  policy.add(linkPrompt(db), 1)
  // Initiating User Registration via OpenID Connect 1.0 section 4: prompt=create.
  policy.add(new Prompt({ name: 'create', requestable: true }), 0)
  return policy
}

/** The engine compares with the member ID, which is not what every client calls the member. */
function subjectChecks(db: Db, subjectsOf: SubjectsOf): interactionPolicy.Check[] {
  return [
    // OpenID Connect Core 3.1.2.1: the End-User the ID token identified, by whatever name that was.
    new Check(
      'id_token_hint',
      'id_token_hint and authenticated subject do not match',
      'login_required',
      async ({ oidc: { client, entities, session } }) => {
        const { IdTokenHint: hint } = entities
        if (!hint || !client) return Check.NO_NEED_TO_PROMPT
        const { sub } = hint.payload
        return !session?.accountId || (await memberOfSubject(db, client, String(sub))) !== session.accountId
      },
    ),
    // Section 5.5.1: a certain `sub` is asked for, so it is compared with the one that would be in the answer.
    new Check(
      'claims_id_token_sub_value',
      'requested subject could not be obtained',
      'login_required',
      async ({ oidc: { client, claims, session } }) => {
        const asked = claims.id_token?.sub
        if (!client || !asked || asked.value === undefined) return Check.NO_NEED_TO_PROMPT
        return !session?.accountId || asked.value !== (await subjectsOf(client, session.accountId)).sub
      },
      ({ oidc: { claims } }) => ({ sub: claims.id_token?.sub }),
    ),
  ]
}

function consentChecks(): interactionPolicy.Check[] {
  return [
    new Check(
      'native_client_prompt',
      'native clients require End-User interaction',
      'interaction_required',
      isUnprovedNativeClient,
    ),
    new Check(
      'op_claims_missing',
      'requested claims not granted',
      'consent_required',
      (ctx) => missingClaims(ctx).length > 0,
      (ctx) => ({ missingOIDCClaims: missingClaims(ctx) }),
    ),
    new Check(
      'connections_missing',
      'linked accounts of a connection not granted',
      'consent_required',
      (ctx) => missingConnections(ctx).length > 0,
      (ctx) => ({ missingConnections: missingConnections(ctx) }),
    ),
    new Check(
      'upstream_tokens_missing',
      'access tokens of a connection not granted',
      'consent_required',
      (ctx) => missingTokenConnections(ctx).length > 0,
      (ctx) => ({ missingTokenConnections: missingTokenConnections(ctx) }),
    ),
  ]
}

/**
 * The engine would go on with a session whose member is gone; and only PostgreSQL knows that a member's sessions were
 * ended, whatever the session store still holds.
 */
function isSessionOver(ctx: KoaContextWithOIDC): boolean {
  const { session, account } = ctx.oidc
  if (!session?.accountId) return Check.NO_NEED_TO_PROMPT
  const member = (account as MemberAccount | undefined)?.member
  return !member || isSessionEnded(member, new Date((session.loginTs ?? 0) * 1000))
}

/**
 * OpenID Connect Core 3.1.2.1, id_token_hint: when somebody else has signed in, the answer is an error. The engine
 * compares before the sign-in only, when it has verified the hint.
 */
function refuseAnotherMember(db: Db) {
  return async ({ oidc: { client, params = {}, session, result } }: KoaContextWithOIDC): Promise<boolean> => {
    const { id_token_hint: hint } = params
    if (!result?.login || typeof hint !== 'string' || !client) return Check.NO_NEED_TO_PROMPT
    if ((await memberOfSubject(db, client, decodeJwt(hint).sub ?? '')) !== session?.accountId)
      throw new errors.LoginRequired('another End-User has signed in')
    return Check.NO_NEED_TO_PROMPT
  }
}

/**
 * RFC 8252 section 8.6: any application of the device can answer for a native client, whatever was allowed before and
 * whoever decided to skip consent; only a claimed https address proves which one it is.
 */
function isUnprovedNativeClient({ oidc: { client, params = {}, result } }: KoaContextWithOIDC): boolean {
  const { redirect_uri: uri, response_type: type } = params
  const proved = typeof uri === 'string' && URL.parse(uri)?.protocol === 'https:'
  return client?.applicationType === 'native' && type !== 'none' && !proved && !result?.consent
}

/** About the sign-in itself: in an ID token whether or not it was asked for, and nothing to consent to. */
const protocolClaims = new Set(['link_result', 'sub', 'sid', 'auth_time', 'acr', 'amr', 'iss'])

/** What the client may not have, nobody is asked for. */
function missingClaims({ oidc }: KoaContextWithOIDC): string[] {
  const { client, entities, requestParamClaims } = oidc
  const had = new Set(entities.Grant?.getOIDCClaimsEncountered())
  return [...requestParamClaims].filter(
    (claim) => !had.has(claim) && !protocolClaims.has(claim) && client && isClaimAllowed(client, claim),
  )
}

/** Consent names the connections; one the client was allowed since is asked for, and until then not disclosed. */
function missingConnections({ oidc }: KoaContextWithOIDC): string[] {
  const { client, entities, requestParamOIDCScopes: scopes, requestParamClaims: claims } = oidc
  if (!client || client.first_party === true) return []
  if (!scopes.has('linked_accounts') && !claims.has('linked_accounts')) return []
  const had = entities.Grant ? contentOf(entities.Grant).connections : []
  return allowedConnections(client).filter((id) => !had.includes(id))
}

/** The same for the connections whose access tokens the client is to be handed. */
function missingTokenConnections({ oidc }: KoaContextWithOIDC): string[] {
  const { client, entities, requestParamOIDCScopes: scopes } = oidc
  if (!client || client.first_party === true || !scopes.has(upstreamTokensScope)) return []
  const had = entities.Grant ? contentOf(entities.Grant).tokenConnections : []
  return tokenConnectionsOf(client).filter((id) => !had.includes(id))
}

function allowedConnections({ allowed_connections: allowed }: Client): string[] {
  return Array.isArray(allowed) ? allowed : []
}
