import { findConnection } from '../../connections/connection.ts'
import type { UpstreamTokens } from '../../connections/connector.ts'
import type { OidcConnector } from '../../connections/oidc.ts'
import type { Sink } from '../../events/dispatcher.ts'
import type { Sealer } from '../../security/seal.ts'
import { type Db, inTransaction, type Tx } from '../../store/db.ts'
import type { FederatedIdentity } from '../../store/generated/client.ts'
import { findIdentity } from '../identity.ts'
import { markNeedsRelink } from '../unlink/needs-relink.ts'

export interface TokenVault {
  sealer: Sealer
}

type TokenOwner = Pick<FederatedIdentity, 'id' | 'connectionId' | 'issuer' | 'subject'>

/** Keeps the upstream's tokens, sealed, under the id of the identity they belong to; newer ones take their place. */
export async function storeTokens(
  tx: Tx,
  vault: TokenVault,
  owner: TokenOwner,
  tokens: UpstreamTokens,
  now: Date,
): Promise<void> {
  const { id, connectionId, issuer, subject } = owner
  const fresh = { ...sealTokens(vault, id, tokens), storedAt: now, discardedAt: null, refreshingUntil: null }
  const row = { connectionId, issuer, subject, ...fresh }
  await tx.upstreamToken.upsert({ where: { id }, create: { id, ...row }, update: row })
}

/** The link is over: nobody gets these tokens any more but the upstream, which is told that they end. */
export async function discardTokens(tx: Tx, identityId: string, now: Date): Promise<void> {
  await tx.upstreamToken.updateMany({ where: { id: identityId }, data: { discardedAt: now } })
}

/**
 * Sink: after an unlink, revokes (LINE: deauthorizes) at the upstream unless the account is linked again, then destroys
 * the tokens. Told again it finds nothing left to do; while the upstream does not answer it is tried again. A link that
 * was made in the very moment in which the upstream was told has lost what it stood on, and says so.
 */
export function upstreamSink(
  db: Db,
  { sealer }: TokenVault,
  connector: Pick<OidcConnector, 'revoke'>,
  now: () => Date,
): Sink {
  return async (event) => {
    if (event.type !== 'identity.unlinked') return
    const { identityId, connectionId } = event.data
    const row = await db.upstreamToken.findUnique({ where: { id: identityId } })
    const connection = await findConnection(db, connectionId)
    if (!row?.discardedAt || !connection) return
    // What the upstream is about to answer takes the place of these; it is told to end those.
    if (row.refreshingUntil && row.refreshingUntil > now()) throw new Error('the tokens are being refreshed')
    // Linked again meanwhile: what ends at the upstream is its consent as a whole, and the new link stands on it.
    const toldUpstream = !(await findIdentity(db, row))
    if (toldUpstream) await connector.revoke(connection, row.subject, openTokens({ sealer }, row))
    await inTransaction(db, async (tx) => {
      // Not what a new link has put in its place while the upstream was told.
      await tx.upstreamToken.deleteMany({ where: { id: identityId, sealed: row.sealed } })
      const linked = toldUpstream ? await findIdentity(tx, row) : null
      if (linked) await markNeedsRelink(tx, linked.id, 'ended_upstream', now())
    })
  }
}

/** What is stored of tokens in the row of this id. */
export function sealTokens({ sealer }: TokenVault, id: string, tokens: UpstreamTokens) {
  const expiresAt = tokens.expiresAt === undefined ? null : new Date(tokens.expiresAt * 1000)
  return { sealed: sealer.seal(JSON.stringify(tokens), sealContext(id)), expiresAt }
}

export function openTokens(
  { sealer }: TokenVault,
  { id, sealed }: { id: string; sealed: string },
): UpstreamTokens {
  return JSON.parse(sealer.open(sealed, sealContext(id)))
}

export const sealContext = (identityId: string) => `upstream tokens ${identityId}`
