import { type Adapter, type AdapterPayload, errors, Provider } from 'oidc-provider'
import { digest } from '../security/digest.ts'
import { inBatches } from '../store/batch.ts'
import { type Db, hotStatement, noteChange, wasRefused } from '../store/db.ts'
import { Prisma, type RefreshToken } from '../store/generated/client.ts'
import { grantUseSeconds } from './grant.ts'
import { mayBe } from './token-kinds.ts'

/**
 * Refresh tokens, kept under a digest: who reads the table cannot use what it holds. A rotation is one statement: the
 * engine consumes the old token and saves the new one, and the first is done with the second, so that neither a crash
 * nor a race comes between them. Lookups and rotations of one turn share a statement.
 */
export function refreshTokenAdapter(db: Db, now: () => Date): Adapter {
  /** What the request in hand has consumed, until it saves the successor. */
  const consumed = new WeakMap<object, string>()
  const lookUp = inBatches((digests: readonly string[]) => lookUpAll(db, digests), wasRefused)
  const rotate = inBatches((rotations: readonly Rotation[]) => rotateAll(db, rotations, now()), wasRefused)
  return {
    async upsert(id, { jti: _token, ...payload }, expiresIn) {
      const { grantId } = payload
      if (!grantId) throw new Error('a refresh token belongs to a grant')
      const expiresAt = expiresIn ? new Date(now().getTime() + expiresIn * 1000) : null
      const used = Provider.ctx && consumed.get(Provider.ctx)
      const next = { grantId, expiresAt, digest: digest(id) }
      if (!used) return store(db, { ...next, payload: payload as Prisma.InputJsonObject })
      if (await rotate({ ...next, used, payload: JSON.stringify(payload) })) return undefined
      // RFC 9700 section 4.14.2: a rotated token used again ends the whole family, also when the two uses raced.
      await db.grant.deleteMany({ where: { id: grantId } })
      noteChange(db, { topic: 'grant', id: grantId })
      throw new errors.InvalidGrant('refresh token was already used')
    },
    async find(id) {
      const row = mayBe('RefreshToken', id) ? await lookUp(digest(id)) : undefined
      if (!row || (row.expiresAt !== null && row.expiresAt <= now())) return undefined
      const consumed = row.consumedAt ? { consumed: Math.floor(row.consumedAt.getTime() / 1000) } : {}
      return { ...(row.payload as AdapterPayload), jti: id, ...consumed }
    },
    findByUid: async () => undefined,
    findByUserCode: async () => undefined,
    async consume(id) {
      if (!Provider.ctx) throw new Error('a refresh token is consumed by a request')
      consumed.set(Provider.ctx, digest(id))
    },
    async destroy(id) {
      await db.refreshToken.deleteMany({ where: { digest: digest(id) } })
    },
    // The engine calls this on sign-out too. A member has one grant per client, so it would end offline access that was
    // given in other browsers. Where tokens are to end, their grant is deleted, and they go with it.
    revokeByGrantId: async () => {},
  }
}

async function store(db: Db, row: Prisma.RefreshTokenUncheckedCreateInput): Promise<void> {
  await db.refreshToken
    .upsert({ where: { digest: row.digest }, create: row, update: row })
    .catch((error: unknown) => {
      // The grant was revoked while this token was being made (reuse was detected): the token is dead at birth.
      if (!(error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2003')) throw error
    })
}

type StoredToken = Pick<RefreshToken, 'digest' | 'payload' | 'consumedAt' | 'expiresAt'>

const lookup = `
  SELECT "digest", "payload", "consumedAt", "expiresAt" FROM "RefreshToken" WHERE "digest" = ANY($1::text[])`

async function lookUpAll(db: Db, digests: readonly string[]): Promise<(StoredToken | undefined)[]> {
  const { rows } = await hotStatement<StoredToken>(db, lookup, [digests])
  const found = new Map(rows.map((row) => [row.digest, row]))
  return digests.map((one) => found.get(one))
}

interface Rotation {
  /** Digests of the old token and of the new one. */
  used: string
  digest: string
  grantId: string
  payload: string
  expiresAt: Date | null
}

/**
 * Grants are held before their tokens, in one order, as a revocation takes them: neither waits for the other for ever.
 * What is not returned was used before, or its grant is gone.
 */
const rotation = `
  WITH asked AS (
    SELECT * FROM unnest($2::text[], $3::text[], $4::text[], $5::jsonb[], $6::timestamptz[])
      AS a("used", "digest", "grantId", "payload", "expiresAt")
  ), held AS (
    SELECT "id" FROM "Grant" WHERE "id" = ANY($4::text[]) ORDER BY "id" FOR UPDATE
  ), used AS (
    UPDATE "RefreshToken" t SET "consumedAt" = $1 FROM asked, held
    WHERE t."digest" = asked."used" AND t."consumedAt" IS NULL AND t."grantId" = held."id"
    RETURNING t."digest", t."grantId"
  ), noted AS (
    UPDATE "Grant" g SET "lastUsedAt" = $1 FROM used
    WHERE g."id" = used."grantId" AND (g."lastUsedAt" IS NULL OR g."lastUsedAt" < $7)
  )
  INSERT INTO "RefreshToken" ("digest", "grantId", "payload", "expiresAt")
  SELECT asked."digest", used."grantId", asked."payload", asked."expiresAt"
  FROM asked JOIN used ON used."digest" = asked."used"
  RETURNING "digest"`

/** True for those that were rotated. Of several uses of one token, the first of a batch is the one that counts. */
async function rotateAll(db: Db, rotations: readonly Rotation[], now: Date): Promise<boolean[]> {
  const first = [...new Map(rotations.toReversed().map((one) => [one.used, one])).values()]
  const noted = new Date(now.getTime() - grantUseSeconds * 1000)
  const column = (name: keyof Rotation) => first.map((one) => one[name])
  const { rows } = await hotStatement<{ digest: string }>(db, rotation, [
    now,
    ...[column('used'), column('digest'), column('grantId'), column('payload'), column('expiresAt')],
    noted,
  ])
  const rotated = new Set(rows.map((row) => row.digest))
  return rotations.map((one) => rotated.has(one.digest))
}
