import { holdUsableConnection } from '../../connections/connection.ts'
import type { Locale } from '../../http/i18n.ts'
import { lockMembers } from '../../members/member.ts'
import { Problem } from '../../problem.ts'
import { equalInConstantTime } from '../../security/digest.ts'
import { type Db, inTransaction, type Tx } from '../../store/db.ts'
import { type ConsentPlace, consentText, type LinkConsentText } from '../link-consent.ts'
import type { TokenVault } from '../tokens/token-vault.ts'
import type { LinkTransaction, Transactions } from '../transaction.ts'
import { closeConflict, findOpenConflict } from './conflict.ts'
import { applyMove } from './move.ts'
import { type MemberSummary, previewDigest, summarizeMember } from './preview.ts'
import { findSituation, type Situation } from './situation.ts'

export interface CarryOutDeps {
  db: Db
  vault: TokenVault
  transactions: Transactions
  recentSeconds: number
  /** Of the service's terms, for a connection without its own. */
  termsVersion: string
}

/** What a claimant has pressed the button for. */
export interface Chosen {
  transaction: LinkTransaction
  claimantId: string
  /** The digest of what was on the page. */
  shown: string
  locale: Locale
  place: ConsentPlace
}

export interface MovePreview {
  consent: LinkConsentText
  owner: MemberSummary
  claimant: MemberSummary
  digest: string
}

/** What moving the account means: the agreement to the link it becomes, and the two members as they are. */
export async function previewMove(
  tx: Tx,
  { connection, identity, contest }: Situation,
  { termsVersion, locale }: { termsVersion: string; locale: Locale },
  now: Date,
): Promise<MovePreview> {
  const consent = await consentText(tx, { connection, identity, termsVersion, locale }, now)
  const owner = await summarizeMember(tx, contest.ownerId, locale, now)
  const claimant = await summarizeMember(tx, contest.claimantId, locale, now)
  return { consent, owner, claimant, digest: previewDigest('move', consent, owner, claimant) }
}

/**
 * Moves the account to the claimant, in one transaction that holds both members and reads everything again: the proof of
 * the owner's side, the guard of their last way in, and what was shown.
 * @throws Problem conflict_changed when it is not as it was shown, connection_unavailable, account_unavailable
 */
export async function moveToClaimant(deps: CarryOutDeps, chosen: Chosen, now: Date): Promise<void> {
  const { transaction, place, shown, locale } = chosen
  const tokens = deps.transactions.openTokens(transaction)
  await inTransaction(deps.db, async (tx) => {
    const situation = await holdSituation(tx, deps, chosen, now)
    const { contest, identity } = situation
    if (situation.choices.move !== 'offered') throw new Problem('conflict_changed')
    const preview = await previewMove(tx, situation, { termsVersion: deps.termsVersion, locale }, now)
    if (!equalInConstantTime(shown, preview.digest)) throw new Problem('conflict_changed')
    const conflict = await findOpenConflict(tx, contest)
    if (!conflict) throw new Problem('conflict_changed')
    const { consent } = preview
    const agreed = { contest, conflictId: conflict.id, identity, tokens, consent, place, trail: transaction }
    await applyMove(tx, deps.vault, agreed, now)
    await closeConflict(tx, conflict, { outcome: 'moved', by: 'member' }, now)
  })
}

/** Holds the connection, then both members, and reads how things stand now that nobody can change it. */
async function holdSituation(
  tx: Tx,
  { recentSeconds }: Pick<CarryOutDeps, 'recentSeconds'>,
  { transaction, claimantId }: Chosen,
  now: Date,
): Promise<Situation> {
  await holdUsableConnection(tx, transaction.connectionId)
  const seen = await findSituation(tx, transaction, claimantId, recentSeconds, now)
  if (!seen) throw new Problem('conflict_changed')
  const { ownerId } = seen.contest
  const held = await lockMembers(tx, [ownerId, claimantId])
  if (held.get(claimantId)?.status !== 'active') throw new Problem('account_unavailable')
  const situation = await findSituation(tx, transaction, claimantId, recentSeconds, now)
  // Who held it first may not be who holds it now.
  if (situation?.contest.ownerId !== ownerId) throw new Problem('conflict_changed')
  return situation
}
