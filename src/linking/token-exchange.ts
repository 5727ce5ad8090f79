import { findConnection, holdUsableConnection } from '../connections/connection.ts'
import { audiencesOf, claimedOrigin, idTokenLifeSeconds } from '../connections/id-token.ts'
import type { OidcConnector } from '../connections/oidc.ts'
import type { Connection } from '../connections/settings.ts'
import { recordEvent } from '../events/outbox.ts'
import { findActiveMember, isSessionEnded, lockMember, sessionsValidFrom } from '../members/member.ts'
import type { PresentedSubject, SubjectOf, SubjectRefusal } from '../oidc/token-exchange.ts'
import { Problem } from '../problem.ts'
import { type Db, inTransaction } from '../store/db.ts'
import type { Ephemeral } from '../store/ephemeral.ts'
import { findIdentity } from './identity.ts'

export interface TokenExchangeDeps {
  db: Db
  store: Ephemeral
  connector: OidcConnector
  now: () => Date
}

const token = (reason: string): SubjectRefusal => ({ refused: 'token', reason })
const member = (reason: string): SubjectRefusal => ({ refused: 'member', reason })

/** What applications are told; they may rely on the words. */
const refusals = {
  unclear: token('connection is required: the token does not say which of them it is from'),
  unavailable: token('the connection is not available to this client'),
  used: token('subject_token was already used'),
  older: token('subject_token is from before the member ended all sessions'),
  notLinked: member('the account is not linked to a member'),
  inactive: member('the member cannot sign in'),
  withdrawn: token('subject_token is from before the upstream withdrew the account'),
}

/**
 * Whose ID token of an upstream this is: that of the member the account is linked to, if the connection may sign members
 * in. It is good once and only while it is fresh; nothing is made of it but tokens.
 */
export function exchangeSubject(deps: TokenExchangeDeps): SubjectOf {
  return async (presented) => {
    const connection = await chooseConnection(deps.db, presented)
    if ('refused' in connection) return connection
    const { idToken, nonce } = presented
    const answer = await deps.connector.verifyIdToken(connection, { idToken, nonce })
    if (answer.outcome === 'refused') return token(`subject_token is not accepted: ${answer.fault}`)

    const linked = await findIdentity(deps.db, answer.identity)
    if (!linked) return refusals.notLinked
    const holder = await findActiveMember(deps.db, linked.memberId)
    if (!holder) return refusals.inactive
    if (isSessionEnded(holder, answer.issuedAt)) return refusals.older
    const vouchedAt = Math.floor(answer.issuedAt.getTime() / 1000)
    const proof = {
      ...answer,
      connection,
      vouchedAt,
      memberId: linked.memberId,
      clientId: presented.clientId,
    }
    return { memberId: linked.memberId, vouchedAt, redeem: (scopes) => redeem(deps, proof, scopes) }
  }
}

async function chooseConnection(
  db: Db,
  { idToken, connectionId, allowedConnections }: PresentedSubject,
): Promise<Connection | SubjectRefusal> {
  const id = connectionId ?? (await pointedTo(db, idToken, allowedConnections))
  if (id === undefined) return refusals.unclear
  if (!allowedConnections.includes(id)) return refusals.unavailable
  const connection = await findConnection(db, id)
  return connection && !connection.disabledAt && connection.allowSignIn ? connection : refusals.unavailable
}

/** The one connection that a token names by its issuer and audience. It is verified against that one afterwards. */
async function pointedTo(db: Db, idToken: string, among: readonly string[]): Promise<string | undefined> {
  const origin = claimedOrigin(idToken)
  if (!origin) return undefined
  const found = await Promise.all(among.map((id) => findConnection(db, id)))
  const matching = found.filter(
    (connection) =>
      connection?.issuer === origin.issuer &&
      audiencesOf(connection).some((audience) => origin.audiences.includes(audience)),
  )
  return matching.length === 1 ? matching[0]?.id : undefined
}

interface Proof {
  identity: Parameters<typeof findIdentity>[1]
  mark: string
  connection: Connection
  memberId: string
  clientId: string
  vouchedAt: number
}

/** In turn with whatever ends sessions, disables the connection or undoes the link. */
async function redeem(
  { db, store, now }: TokenExchangeDeps,
  { identity, mark, connection, memberId, clientId, vouchedAt }: Proof,
  scopes: readonly string[],
): Promise<SubjectRefusal | undefined> {
  // Before anything is given for it, and for longer than it is accepted: of two who come with one token, one is first.
  if (!(await store.setIfAbsent(`exchanged:${mark}`, '1', 2 * idTokenLifeSeconds))) return refusals.used
  try {
    return await inTransaction(db, async (tx) => {
      await holdUsableConnection(tx, connection.id)
      const held = await lockMember(tx, memberId)
      if (held?.status !== 'active') return refusals.inactive
      if (vouchedAt < sessionsValidFrom(held)) return refusals.older
      const linked = await findIdentity(tx, identity)
      if (linked?.memberId !== memberId) return refusals.notLinked
      // What it said before it withdrew counts no more; what it says since is a new word.
      if (linked.needsRelinkSince && vouchedAt * 1000 < linked.needsRelinkSince.getTime())
        return refusals.withdrawn
      await tx.federatedIdentity.update({ where: { id: linked.id }, data: { lastUsedAt: now() } })
      const data = { clientId, connectionId: connection.id, identityId: linked.id, scopes }
      await recordEvent(tx, { type: 'token.exchanged', memberId, data }, now())
      return undefined
    })
  } catch (error) {
    if (error instanceof Problem && error.code === 'connection_unavailable') return refusals.unavailable
    throw error
  }
}
