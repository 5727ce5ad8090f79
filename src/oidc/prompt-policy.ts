import { decodeJwt } from 'jose'
import { errors, interactionPolicy, type KoaContextWithOIDC } from 'oidc-provider'
import { isSessionEnded } from '../members/member.ts'
import type { MemberAccount } from './account.ts'
import { acrCheck } from './acr.ts'

const { Check, Prompt, base } = interactionPolicy

/** What an authorization request must pass. On top of the engine's own checks: the session counts, and is the right member's. */
export function promptPolicy(): interactionPolicy.DefaultPolicy {
  const policy = base()
  const check = new Check(
    'session_ended',
    'End-User authentication is required',
    'login_required',
    isSessionOver,
  )
  const login = policy.get('login')
  login?.checks.add(check)
  login?.checks.add(new Check('hint', 'another End-User is expected', 'login_required', refuseAnotherMember))
  login?.checks.add(acrCheck())
  // Initiating User Registration via OpenID Connect 1.0 section 4: prompt=create.
  policy.add(new Prompt({ name: 'create', requestable: true }), 0)
  return policy
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
function refuseAnotherMember({ oidc: { params = {}, session, result } }: KoaContextWithOIDC): boolean {
  const { id_token_hint: hint } = params
  if (result?.login && typeof hint === 'string' && decodeJwt(hint).sub !== session?.accountId)
    throw new errors.LoginRequired('another End-User has signed in')
  return Check.NO_NEED_TO_PROMPT
}
