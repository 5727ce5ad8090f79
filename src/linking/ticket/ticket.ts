import { z } from 'zod'
import { findConnection } from '../../connections/connection.ts'
import { toIdentity } from '../../connections/identity-claims.ts'
import { recordEvent } from '../../events/outbox.ts'
import { Problem } from '../../problem.ts'
import type { Db } from '../../store/db.ts'
import { findLinkingClient, isReturnAddress } from '../invitation/client.ts'
import { invite } from '../invitation/invitation.ts'
import type { TripDeps } from '../upstream-trip.ts'

/** What a relying party's server says of a shopper who is signed in there. What is not said here is not taken. */
export const newTicket = z.strictObject({
  connection: z.string().max(40),
  /** As an OpenID Connect `sub` (Core 2): never used again for somebody else. */
  subject: z.string().regex(/^[\x21-\x7e]{1,255}$/),
  profile: z
    .strictObject({ name: z.string().max(200).optional(), email: z.email().max(254).optional() })
    .default({}),
  /** What the ticket is for, so that it is never taken for something else. */
  purpose: z.literal('link'),
  return_to: z.string().max(2000).optional(),
  state: z.string().max(1000).optional(),
})
export type NewTicket = z.infer<typeof newTicket>

/**
 * Takes a client's word on who holds an account of a connection, where its word counts, and answers with the one-time
 * address for that shopper's browser. Signs nobody in and proves no address: `emailVerified` is false whatever is said.
 * @throws Problem connection_unavailable, not_vouched_for, redirect_uri_mismatch
 */
export async function issueTicket(
  deps: Pick<TripDeps, 'db' | 'store' | 'random' | 'issuer'>,
  clientId: string,
  ticket: NewTicket,
  now: Date,
): Promise<string> {
  const connection = await findConnection(deps.db, ticket.connection)
  if (!connection || connection.disabledAt) throw new Problem('connection_unavailable')
  const trail = { connectionId: connection.id, way: 'link_ticket', clientId } as const
  const client = await findLinkingClient(deps.db, clientId, connection.id)
  // For an upstream that can prove its accounts by itself nobody else's word is taken.
  if (!client?.rights.vouches || connection.kind !== 'ticket')
    return refuse(deps.db, { ...trail, reason: 'not_vouched_for' }, now)
  const { return_to: returnTo, state: clientState } = ticket
  if (returnTo !== undefined && !isReturnAddress(client.row, returnTo))
    throw new Problem('redirect_uri_mismatch')
  const { name, email } = ticket.profile
  const identity = toIdentity(connection, { sub: ticket.subject, name, email })
  const back = returnTo === undefined ? {} : { returnTo, ...(clientState !== undefined && { clientState }) }
  return invite(deps, { ...trail, identity, ...back })
}

async function refuse(
  db: Db,
  data: { connectionId: string; way: string; clientId: string; reason: 'not_vouched_for' },
  now: Date,
): Promise<never> {
  await recordEvent(db, { type: 'link.refused', data }, now)
  throw new Problem('not_vouched_for')
}
