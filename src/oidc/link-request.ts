import { interactionPolicy, type KoaContextWithOIDC, Provider } from 'oidc-provider'
import { z } from 'zod'
import type { Db } from '../store/db.ts'

const { Check, Prompt } = interactionPolicy

/**
 * How the link that a relying party asked for (`link_connection`) ended: part of the interaction's result, which the
 * engine keeps for this one authorization and no browser ever holds.
 */
export interface LinkResult {
  memberId: string
  connectionId: string
  outcome: string
}

/** What there is to do about it: `ask` is an interaction, everything else is told as it is. */
type Standing = 'ask' | 'already_linked' | 'failed:connection_unavailable'

/** Asks for the link once the member is known and before consent, so that consent speaks of what is there by then. */
export function linkPrompt(db: Db): interactionPolicy.Prompt {
  const linkNeeded = async (ctx: KoaContextWithOIDC): Promise<boolean> => {
    const standing = await standingOf(db, ctx)
    if (standing === undefined || standing === 'ask') return standing === 'ask'
    keepResult(ctx, standing)
    return Check.NO_NEED_TO_PROMPT
  }
  const description = 'an account is to be linked'
  return new Prompt(
    { name: 'link', requestable: false },
    new Check('link_needed', description, 'interaction_required', linkNeeded),
  )
}

/**
 * Proof before power: a link takes a sign-in of just now. It is asked for here, where the relying party's name is on the
 * page. OWASP ASVS 7.5.1.
 */
export function recentSignInCheck(db: Db, now: () => Date, recentSeconds: number): interactionPolicy.Check {
  return new Check(
    'link_needs_recent_sign_in',
    'an account is to be linked, which takes a recent sign-in',
    'interaction_required',
    async (ctx) => {
      const { result, session } = ctx.oidc
      const age = now().getTime() / 1000 - (session?.loginTs ?? 0)
      return !result?.login && age > recentSeconds && (await standingOf(db, ctx)) === 'ask'
    },
  )
}

const connectionName = /^[a-z][a-z0-9-]{1,30}$/

/** Only where a code is given there is an ID token to say the result in. Undefined: nothing to do, or done already. */
async function standingOf(db: Db, ctx: KoaContextWithOIDC): Promise<Standing | undefined> {
  const { params = {}, client, session } = ctx.oidc
  const { link_connection: connectionId, response_type: type } = params
  const memberId = session?.accountId
  if (typeof connectionId !== 'string' || connectionId === '' || type !== 'code') return undefined
  if (!client || !memberId || outcomeOf(ctx) !== undefined) return undefined
  // Whatever it names, the sign-in goes on.
  const { clientId } = client
  const allowed =
    connectionName.test(connectionId) &&
    (await db.clientConnection.findFirst({
      where: { clientId, connectionId, connection: { disabledAt: null } },
    }))
  if (!allowed) return 'failed:connection_unavailable'
  const linked = await db.federatedIdentity.findFirst({
    where: { memberId, connectionId, needsRelinkSince: null },
    select: { id: true },
  })
  return linked ? 'already_linked' : 'ask'
}

function keepResult(ctx: KoaContextWithOIDC, outcome: string): void {
  const { oidc } = ctx
  const memberId = oidc.session?.accountId ?? ''
  const link: LinkResult = { memberId, connectionId: String(oidc.params?.link_connection), outcome }
  Object.assign(oidc, { result: { ...oidc.result, link } })
}

const linkResult = z.object({ memberId: z.string(), connectionId: z.string(), outcome: z.string() })

/** The result that belongs to this authorization: of this member, about the connection this request names. */
function outcomeOf({ oidc }: KoaContextWithOIDC): string | undefined {
  const kept = linkResult.safeParse(oidc.result?.link).data
  const isOurs =
    kept?.memberId === oidc.session?.accountId && kept?.connectionId === oidc.params?.link_connection
  return isOurs ? kept?.outcome : undefined
}

/** As the engine makes its models: what is no payload field is not stored. */
interface CodeModel {
  IN_PAYLOAD: readonly string[]
  prototype: { linkResult?: string; save(ttl?: number): Promise<string> }
}

/** The code that answers the request carries the result to the token endpoint, whichever process or engine serves it. */
export function carryLinkResults(provider: Provider): void {
  const model = provider.AuthorizationCode as unknown as CodeModel
  const fields = [...model.IN_PAYLOAD, 'linkResult']
  Object.defineProperty(model, 'IN_PAYLOAD', { get: () => fields })
  const { save } = model.prototype
  model.prototype.save = function carrying(ttl) {
    const outcome = Provider.ctx && outcomeOf(Provider.ctx)
    if (outcome !== undefined) this.linkResult = outcome
    return save.call(this, ttl)
  }
}

/** For the ID token that a code is exchanged for, and no later one: it answers that request. */
export function linkResultClaim({ oidc }: KoaContextWithOIDC): { link_result?: string } {
  const { AuthorizationCode: code } = oidc.entities
  return code && 'linkResult' in code && typeof code.linkResult === 'string'
    ? { link_result: code.linkResult }
    : {}
}
