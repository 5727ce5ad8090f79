import { exportJWK, generateKeyPair } from 'jose'
import type { JWK, JWKS } from 'oidc-provider'
import { recordEvent } from '../../events/outbox.ts'
import type { Random } from '../../security/random.ts'
import type { Sealer } from '../../security/seal.ts'
import { type Db, inTransaction, isUniqueViolation, type Tx } from '../../store/db.ts'
import type { Prisma } from '../../store/generated/client.ts'
import type { Algorithm, KeyFacts } from './plan.ts'

/** What making a key takes. */
export interface KeyMaking {
  db: Db
  sealer: Sealer
  random: Random
}

export interface NewKey {
  alg: Algorithm
  position: number
  activeFrom: Date
}

/** Every key there ever was, without the keys themselves. */
export function readKeyFacts(tx: Tx): Promise<(KeyFacts & { createdAt: Date })[]> {
  return tx.signingKey.findMany({
    select: {
      kid: true,
      alg: true,
      position: true,
      createdAt: true,
      activeFrom: true,
      retiredAt: true,
      destroyedAt: true,
    },
    orderBy: [{ alg: 'asc' }, { position: 'asc' }],
  })
}

/**
 * The keys as the engine takes them, private parts and all, in the given order; those destroyed meanwhile are left out.
 * @throws Error when none of the configured sealing keys opens one
 */
export async function openSigningKeys(tx: Tx, sealer: Sealer, kids: readonly string[]): Promise<JWKS> {
  const rows = await tx.signingKey.findMany({
    where: { kid: { in: [...kids] } },
    select: { kid: true, sealedPrivate: true },
  })
  const sealed = new Map(rows.map((row) => [row.kid, row.sealedPrivate]))
  return {
    keys: kids.flatMap((kid) => {
      const text = sealed.get(kid)
      return text ? [JSON.parse(sealer.open(text, sealContext(kid))) as JWK] : []
    }),
  }
}

/** A key of this algorithm and position, ready to be stored. */
export async function makeSigningKey(
  { sealer, random }: Pick<KeyMaking, 'sealer' | 'random'>,
  { alg, position, activeFrom }: NewKey,
  now: Date,
): Promise<Prisma.SigningKeyCreateInput> {
  const kid = random.token(12)
  const pair = await generateKeyPair(alg, { extractable: true, modulusLength: 2048 })
  const [secret, open] = await Promise.all([exportJWK(pair.privateKey), exportJWK(pair.publicKey)])
  // RFC 9864 section 2.2: EdDSA with this key is Ed25519. Without a name of its own it serves clients that ask for either.
  const description = { kid, use: 'sig', ...(alg !== 'EdDSA' && { alg }) }
  const publicJwk = { ...open, ...description } as Prisma.InputJsonObject
  const sealedPrivate = sealer.seal(JSON.stringify({ ...secret, ...description }), sealContext(kid))
  return { kid, alg, publicJwk, sealedPrivate, position, createdAt: now, activeFrom }
}

/** From now on it is published. False when somebody else has stored the key of this algorithm and position. */
export async function storeSigningKey(db: Db, key: Prisma.SigningKeyCreateInput): Promise<boolean> {
  try {
    await inTransaction(db, async (tx) => {
      const { kid, alg, createdAt } = await tx.signingKey.create({ data: key })
      await recordEvent(tx, { type: 'signing_key.created', data: { kid, alg } }, createdAt)
    })
    return true
  } catch (error) {
    if (isUniqueViolation(error)) return false
    throw error
  }
}

/** Takes a key out of signing; it stays published. False when it was out already. */
export async function retireSigningKey(tx: Tx, kid: string, now: Date): Promise<boolean> {
  const [changed] = await tx.signingKey.updateManyAndReturn({
    where: { kid, retiredAt: null, destroyedAt: null },
    data: { retiredAt: now },
    select: { alg: true },
  })
  if (!changed) return false
  await recordEvent(tx, { type: 'signing_key.retired', data: { kid, alg: changed.alg } }, now)
  return true
}

/** Ends a key: what it signed verifies no longer, and its private part is gone. False when it had ended already. */
export async function destroySigningKey(tx: Tx, kid: string, now: Date): Promise<boolean> {
  const [changed] = await tx.signingKey.updateManyAndReturn({
    where: { kid, destroyedAt: null },
    data: { destroyedAt: now, sealedPrivate: null },
    select: { alg: true },
  })
  if (!changed) return false
  await recordEvent(tx, { type: 'signing_key.destroyed', data: { kid, alg: changed.alg } }, now)
  return true
}

export const sealContext = (kid: string) => `signing key ${kid}`
