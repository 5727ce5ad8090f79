import { interactionPolicy, type KoaContextWithOIDC } from 'oidc-provider'
import { isSessionEnded } from '../members/member.ts'
import type { MemberAccount } from './account.ts'

const { Check, Prompt, base } = interactionPolicy

/** What an authorization request must pass. On top of the engine's own checks: the session still counts. */
export function promptPolicy(): interactionPolicy.DefaultPolicy {
  const policy = base()
  const check = new Check(
    'session_ended',
    'End-User authentication is required',
    'login_required',
    isSessionOver,
  )
  policy.get('login')?.checks.add(check)
  // Initiating User Registration via OpenID Connect 1.0 section 4: prompt=create.
  policy.add(new Prompt({ name: 'create', requestable: true }), 0)
  return policy
}

/**
 * The engine would go on with a session whose member is gone; and only PostgreSQL knows that a member's sessions were
 * ended, whatever the session store still holds.
 */
function isSessionOver(ctx: KoaContextWithOIDC): boolean {
  const { session, account, result } = ctx.oidc
  if (!session?.accountId || result?.login) return Check.NO_NEED_TO_PROMPT
  const member = (account as MemberAccount | undefined)?.member
  return !member || isSessionEnded(member, new Date((session.loginTs ?? 0) * 1000))
}
