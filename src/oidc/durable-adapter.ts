import { type Adapter, type AdapterPayload, errors, Provider } from 'oidc-provider'
import { recordEvent } from '../events/outbox.ts'
import { digest } from '../security/digest.ts'
import { type Db, hotStatement, inTransaction, noteChange } from '../store/db.ts'
import { Prisma, type RefreshToken } from '../store/generated/client.ts'
import { grantUseSeconds } from './grant.ts'
import { mayBeRecent, type Recent, readGrant } from './recent.ts'
import { mayBe } from './token-kinds.ts'

const notIndexed = async () => undefined

/** Grants: what a member allowed a client. They outlive sessions and stores; deleting one ends every token of it. */
export function grantAdapter(db: Db, recent: Recent, now: () => Date): Adapter {
  const remove = async (id: string) => {
    await db.grant.deleteMany({ where: { id } })
    noteChange(db, { topic: 'grant', id })
  }
  return {
    async upsert(id, payload, expiresIn) {
      const { accountId: memberId, clientId } = payload
      if (!memberId || !clientId) throw new Error('a grant names a member and a client')
      const expiresAt = expiryOf(now(), expiresIn)
      const scopes = grantedScopes(payload)
      const update = { payload: toJson(payload), expiresAt }
      await inTransaction(db, async (tx) => {
        const { count } = await tx.grant.updateMany({ where: { id }, data: update })
        // Revoked while something was added to it: writing it again would bring its tokens back to life.
        if (count === 0 && !isNew(payload, expiresIn)) throw new errors.AccessDenied('the grant was revoked')
        if (count === 0)
          await tx.grant.create({ data: { ...update, id, memberId, clientId, createdAt: now() } })
        await recordEvent(tx, { type: 'grant.given', memberId, data: { clientId, scopes } }, now())
        noteChange(tx, { topic: 'grant', id })
      })
    },
    async find(id) {
      const stored = await (mayBeRecent() ? recent.grants.get(id) : readGrant(db, id))
      return stored && !isOver(stored.expiresAt, now()) ? JSON.parse(stored.text) : undefined
    },
    findByUid: notIndexed,
    findByUserCode: notIndexed,
    consume: async () => {},
    destroy: remove,
    revokeByGrantId: remove,
  }
}

/**
 * Refresh tokens, kept under a digest: who reads the table cannot use what it holds. A rotation is one statement: the
 * engine consumes the old token and saves the new one, and the first is done with the second, so that neither a crash
 * nor a race comes between them.
 */
export function refreshTokenAdapter(db: Db, now: () => Date): Adapter {
  /** What the request in hand has consumed, until it saves the successor. */
  const consumed = new WeakMap<object, string>()
  return {
    async upsert(id, { jti: _token, ...payload }, expiresIn) {
      const { grantId } = payload
      if (!grantId) throw new Error('a refresh token belongs to a grant')
      const row = { grantId, payload: toJson(payload), expiresAt: expiryOf(now(), expiresIn) }
      const used = Provider.ctx && consumed.get(Provider.ctx)
      if (used) return rotate(db, used, { ...row, digest: digest(id) }, now())
      await db.refreshToken
        .upsert({ where: { digest: digest(id) }, create: { digest: digest(id), ...row }, update: row })
        .catch((error: unknown) => {
          // The grant was revoked while this token was being made (reuse was detected): the token is dead at birth.
          if (!isForeignKeyViolation(error)) throw error
        })
    },
    async find(id) {
      if (!mayBe('RefreshToken', id)) return undefined
      const found = await hotStatement<StoredToken>(db, lookup, [digest(id)])
      const [row] = found.rows
      if (!row || isOver(row.expiresAt, now())) return undefined
      const consumed = row.consumedAt ? { consumed: Math.floor(row.consumedAt.getTime() / 1000) } : {}
      return { ...fromJson(row.payload), jti: id, ...consumed }
    },
    findByUid: notIndexed,
    findByUserCode: notIndexed,
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

type StoredToken = Pick<RefreshToken, 'payload' | 'consumedAt' | 'expiresAt'>

const lookup = `SELECT "payload", "consumedAt", "expiresAt" FROM "RefreshToken" WHERE "digest" = $1`

interface NewRefreshToken {
  digest: string
  grantId: string
  payload: Prisma.InputJsonObject
  expiresAt: Date | null
}

/** The grant is held before its token, in the order in which a revocation takes them: neither waits for the other. */
const rotation = `
  WITH held AS (
    SELECT "id" FROM "Grant" WHERE "id" = $7 FOR UPDATE
  ), used AS (
    UPDATE "RefreshToken" SET "consumedAt" = $1 FROM held
    WHERE "digest" = $2 AND "consumedAt" IS NULL AND "grantId" = held."id" RETURNING "grantId"
  ), noted AS (
    UPDATE "Grant" SET "lastUsedAt" = $1 FROM used
    WHERE "id" = used."grantId" AND ("lastUsedAt" IS NULL OR "lastUsedAt" < $3)
  )
  INSERT INTO "RefreshToken" ("digest", "grantId", "payload", "expiresAt")
  SELECT $4, used."grantId", $5::jsonb, $6 FROM used`

/** @throws InvalidGrant when the old token was used before, or its grant is gone */
async function rotate(db: Db, used: string, next: NewRefreshToken, now: Date): Promise<void> {
  const noted = new Date(now.getTime() - grantUseSeconds * 1000)
  const { count } = await hotStatement(db, rotation, [
    ...[now, used, noted],
    ...[next.digest, JSON.stringify(next.payload), next.expiresAt, next.grantId],
  ])
  if (count === 1) return
  // RFC 9700 section 4.14.2: a rotated token used again ends the whole family, also when the two uses raced.
  await db.grant.deleteMany({ where: { id: next.grantId } })
  noteChange(db, { topic: 'grant', id: next.grantId })
  throw new errors.InvalidGrant('refresh token was already used')
}

/** On the engine's clock: what is saved for the first time has its whole life before it. */
function isNew({ iat = 0, exp = 0 }: AdapterPayload, expiresIn = 0): boolean {
  return exp - expiresIn <= iat
}

function expiryOf(now: Date, expiresIn: number | undefined): Date | null {
  return expiresIn ? new Date(now.getTime() + expiresIn * 1000) : null
}

function isOver(expiresAt: Date | null, now: Date): boolean {
  return expiresAt !== null && expiresAt <= now
}

function grantedScopes({ openid }: AdapterPayload): string[] {
  const { scope }: { scope?: unknown } = openid ?? {}
  return typeof scope === 'string' ? scope.split(' ') : []
}

/** Payloads are the engine's own, made of JSON values alone. */
const toJson = (payload: AdapterPayload) => payload as Prisma.InputJsonObject
const fromJson = (payload: Prisma.JsonValue) => payload as AdapterPayload

function isForeignKeyViolation(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2003'
}
