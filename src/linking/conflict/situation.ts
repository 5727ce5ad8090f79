import { getUsableConnection } from '../../connections/connection.ts'
import type { VerifiedIdentity } from '../../connections/connector.ts'
import type { Connection } from '../../connections/settings.ts'
import { sessionsValidFrom } from '../../members/member.ts'
import type { Tx } from '../../store/db.ts'
import type { Member } from '../../store/generated/client.ts'
import { findIdentity } from '../identity.ts'
import type { LinkTransaction } from '../transaction.ts'
import { isLastSignInMethod } from '../unlink/unlink.ts'
import { type Choices, decideChoices } from './choices.ts'
import type { Contest } from './conflict.ts'
import { decideOwnerProof, type OwnerProof } from './proof.ts'

/** How things stand between the member who holds the account and the one who has proved to hold it upstream. */
export interface Situation {
  contest: Contest
  connection: Connection
  /** As proved just now. */
  identity: VerifiedIdentity
  /** Of the owner's link. */
  identityId: string
  proof: OwnerProof
  choices: Choices
}

/**
 * Reads it all anew: inside a transaction that holds both members it is what may be acted on. Undefined when the
 * account belongs to nobody else (any more). @throws Problem connection_unavailable
 */
export async function findSituation(
  tx: Tx,
  transaction: LinkTransaction,
  claimantId: string,
  recentSeconds: number,
  now: Date,
): Promise<Situation | undefined> {
  const identity = transaction.proved?.identity
  const linked = identity && (await findIdentity(tx, identity))
  if (!identity || !linked || linked.memberId === claimantId) return undefined
  const connection = await getUsableConnection(tx, identity.connectionId)
  const owner = await tx.member.findUniqueOrThrow({ where: { id: linked.memberId } })
  const { connectionId, issuer, subject } = identity
  const isRecent = (at: number | undefined) => at !== undefined && now.getTime() / 1000 - at <= recentSeconds
  const proof = decideOwnerProof({
    way: transaction.way,
    isRecent: isRecent(transaction.provedAt),
    allowSignIn: connection.allowSignIn,
    ownerStatus: owner.status,
    signedInAsOwner: isRecent(transaction.ownerSignIn?.at) && isSignedInAs(owner, transaction),
  })
  const isOwnersLastWay = await isLastSignInMethod(tx, owner.id, linked.id)
  const hasAnotherIdentity = await hasIdentityOf(tx, claimantId, connectionId)
  return {
    contest: { connectionId, issuer, subject, ownerId: owner.id, claimantId },
    ...{ connection, identity, proof, identityId: linked.id },
    choices: decideChoices({ proof, isOwnersLastWay, hasAnotherIdentity }),
  }
}

/** Void as soon as the owner's sessions were ended: whoever ended them may have had a reason. */
function isSignedInAs(owner: Member, { ownerSignIn }: LinkTransaction): boolean {
  return ownerSignIn?.memberId === owner.id && ownerSignIn.validFrom === sessionsValidFrom(owner)
}

export async function hasIdentityOf(tx: Tx, memberId: string, connectionId: string): Promise<boolean> {
  return (await tx.federatedIdentity.count({ where: { memberId, connectionId } })) > 0
}
