import { exportJWK, generateKeyPair } from 'jose'
import type { JWK, JWKS } from 'oidc-provider'
import { recordEvent } from '../../events/outbox.ts'
import type { Random } from '../../security/random.ts'
import type { Sealer } from '../../security/seal.ts'
import { type Db, inTransaction, isUniqueViolation } from '../../store/db.ts'
import type { Prisma } from '../../store/generated/client.ts'

/** ES256 signs unless a client asks for RS256, which OpenID Connect Core 15.1 has every provider offer. */
const algorithms = ['ES256', 'RS256'] as const
type Algorithm = (typeof algorithms)[number]

/**
 * The keys all processes sign with, the default first. Made at the first start; of processes that start at once, the
 * first to store a key decides and the others use it.
 */
export async function loadSigningKeys(db: Db, sealer: Sealer, random: Random, now: Date): Promise<JWKS> {
  const known = await db.signingKey.findMany()
  for (const alg of algorithms.filter((candidate) => !known.some((key) => key.alg === candidate))) {
    await createSigningKey(db, sealer, random, alg, now).catch((error: unknown) => {
      if (!isUniqueViolation(error)) throw error
    })
  }
  const rows = await db.signingKey.findMany({ orderBy: { position: 'asc' } })
  const byAlgorithm = rows.toSorted((a, b) => rank(a.alg) - rank(b.alg))
  return {
    keys: byAlgorithm.flatMap(({ kid, sealedPrivate }) =>
      sealedPrivate ? [JSON.parse(sealer.open(sealedPrivate, sealContext(kid))) as JWK] : [],
    ),
  }
}

async function createSigningKey(
  db: Db,
  sealer: Sealer,
  random: Random,
  alg: Algorithm,
  now: Date,
): Promise<void> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true, modulusLength: 2048 })
  const kid = random.token(12)
  const [secret, open] = await Promise.all([exportJWK(privateKey), exportJWK(publicKey)])
  const publicJwk = { ...open, kid, alg, use: 'sig' } as Prisma.InputJsonObject
  const sealedPrivate = sealer.seal(JSON.stringify({ ...secret, kid, alg, use: 'sig' }), sealContext(kid))
  await inTransaction(db, async (tx) => {
    await tx.signingKey.create({
      data: { kid, alg, publicJwk, sealedPrivate, position: 0, createdAt: now, activeFrom: now },
    })
    await recordEvent(tx, { type: 'signing_key.created', data: { kid, alg } }, now)
  })
}

const rank = (alg: string) => algorithms.map(String).indexOf(alg)
const sealContext = (kid: string) => `signing key ${kid}`
