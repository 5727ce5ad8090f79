import type { UpstreamTokens } from '../../connections/connector.ts'
import type { OidcConnector } from '../../connections/oidc.ts'
import type { Connection } from '../../connections/settings.ts'
import { type Db, inTransaction } from '../../store/db.ts'
import type { UpstreamToken } from '../../store/generated/client.ts'
import { findIdentity } from '../identity.ts'
import { markNeedsRelink } from '../unlink/needs-relink.ts'
import { openTokens, sealTokens, type TokenVault } from './token-vault.ts'

export interface RefreshDeps {
  db: Db
  vault: TokenVault
  connector: Pick<OidcConnector, 'refresh' | 'revoke'>
  now: () => Date
}

/** Longer than any answer of an upstream is waited for; a process that dies meanwhile leaves it to the others then. */
export const refreshLeaseSeconds = 30

/** `busy`: somebody else is at it. `revoked`: the upstream stands behind these tokens no more. */
export type Refreshing = 'refreshed' | 'busy' | 'revoked' | 'unrefreshable'

/**
 * Exchanges the tokens of a row, at most one process at a time. What the upstream answers is stored before anybody is
 * given it; an unlinking that came meanwhile finds it there and ends it. Rejects when the upstream could not be asked.
 */
export async function refreshStored(
  deps: RefreshDeps,
  connection: Connection,
  row: UpstreamToken,
): Promise<Refreshing> {
  const tokens = openTokens(deps.vault, row)
  const { refreshToken } = tokens
  if (!refreshToken) return 'unrefreshable'
  if (!(await takeLease(deps, row))) return 'busy'
  const answer = await deps.connector
    .refresh(connection, { ...tokens, refreshToken })
    .catch(async (error) => {
      await deps.db.upstreamToken.updateMany({ where: sameAs(row), data: { refreshingUntil: null } })
      throw error
    })
  if (answer.outcome === 'revoked') return noteRevoked(deps, row)
  if (!(await keep(deps, row, answer.tokens))) await endOrphan(deps, connection, row, answer.tokens)
  return 'refreshed'
}

/** Nobody has put other tokens in their place since they were read. */
const sameAs = ({ id, sealed }: UpstreamToken) => ({ id, sealed })

async function takeLease({ db, now }: RefreshDeps, row: UpstreamToken): Promise<boolean> {
  const at = now()
  const { count } = await db.upstreamToken.updateMany({
    where: {
      ...{ ...sameAs(row), discardedAt: null },
      OR: [{ refreshingUntil: null }, { refreshingUntil: { lte: at } }],
    },
    data: { refreshingUntil: new Date(at.getTime() + refreshLeaseSeconds * 1000) },
  })
  return count > 0
}

/** Also where the link has ended meanwhile: the upstream is then told that these end, not those they have replaced. */
async function keep(
  { db, vault, now }: RefreshDeps,
  row: UpstreamToken,
  tokens: UpstreamTokens,
): Promise<boolean> {
  const data = { ...sealTokens(vault, row.id, tokens), storedAt: now(), refreshingUntil: null }
  const { count } = await db.upstreamToken.updateMany({ where: sameAs(row), data })
  return count > 0
}

/** No row is theirs any more. Where the account is linked anew, they end with what they were made from. */
async function endOrphan(
  { db, connector }: RefreshDeps,
  connection: Connection,
  row: UpstreamToken,
  tokens: UpstreamTokens,
): Promise<void> {
  if (!(await findIdentity(db, row))) await connector.revoke(connection, row.subject, tokens)
}

async function noteRevoked({ db, now }: RefreshDeps, row: UpstreamToken): Promise<Refreshing> {
  return inTransaction(db, async (tx): Promise<Refreshing> => {
    const { count } = await tx.upstreamToken.updateMany({
      where: { ...sameAs(row), discardedAt: null },
      data: { refreshingUntil: null },
    })
    // Unlinked or linked anew meanwhile: then it was about tokens that are nobody's.
    if (count > 0) await markNeedsRelink(tx, row.id, 'tokens_revoked', now())
    return 'revoked'
  })
}
