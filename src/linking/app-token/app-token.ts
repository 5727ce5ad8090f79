import { decodeJwt } from 'jose'
import { getUsableConnection } from '../../connections/connection.ts'
import type { VerifiedIdentity } from '../../connections/connector.ts'
import { type IdTokenFault, idTokenLifeSeconds } from '../../connections/id-token.ts'
import { recordEvent } from '../../events/outbox.ts'
import { Problem } from '../../problem.ts'
import { invite } from '../invitation/invitation.ts'
import type { TripDeps } from '../upstream-trip.ts'
import type { LinkSession } from './link-session.ts'

/**
 * An upstream's ID token that an application presents within a link session: verified as every token that did not come
 * to us from the upstream itself, used up, and answered with the one-time address at which its holder agrees.
 * @throws Problem id_token_refused, connection_unavailable, upstream_unreachable, unexpected_upstream_answer
 */
export async function presentIdToken(
  deps: TripDeps,
  session: LinkSession,
  { idToken, nonce }: { idToken: string; nonce: string | undefined },
  now: Date,
): Promise<string> {
  const { clientId, connectionId, memberId, returnTo, clientState } = session
  const trail = { connectionId, way: 'app_token', clientId } as const
  const verified = await verify(deps, session, { idToken, nonce })
  if ('fault' in verified) {
    const data = { ...trail, reason: `id_token_${verified.fault}` }
    await recordEvent(deps.db, { type: 'link.refused', ...(memberId && { memberId }), data }, now)
    throw new Problem('id_token_refused', { fields: { id_token: verified.fault } })
  }
  return invite(deps, {
    ...trail,
    identity: verified.identity,
    ...(memberId && { memberId }),
    ...(returnTo && { returnTo }),
    ...(clientState !== undefined && { clientState }),
  })
}

type Verified = { identity: VerifiedIdentity } | { fault: IdTokenFault | 'used' }

async function verify(
  { db, store, connector }: TripDeps,
  session: LinkSession,
  { idToken, nonce }: { idToken: string; nonce: string | undefined },
): Promise<Verified> {
  const connection = await getUsableConnection(db, session.connectionId)
  // A nonce is this session's, or the token was made for something else.
  const isCarried = nonce !== undefined || carriedNonce(idToken) !== undefined
  if (nonce !== undefined && nonce !== session.nonce) return { fault: 'nonce' }
  const presented = { idToken, ...(isCarried && { nonce: session.nonce }) }
  const answer = await connector.verifyIdToken(connection, presented)
  if (answer.outcome === 'refused') return { fault: answer.fault }
  // For longer than it is accepted: of two who come with one token, one is first.
  const isFirst = await store.setIfAbsent(`linked-by-token:${answer.mark}`, '1', 2 * idTokenLifeSeconds)
  return isFirst ? { identity: answer.identity } : { fault: 'used' }
}

function carriedNonce(idToken: string): unknown {
  try {
    return decodeJwt(idToken).nonce
  } catch {
    return undefined
  }
}
