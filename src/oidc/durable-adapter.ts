import { type Adapter, type AdapterPayload, errors } from 'oidc-provider'
import { recordEvent } from '../events/outbox.ts'
import { digest } from '../security/digest.ts'
import { type Db, inTransaction } from '../store/db.ts'
import { Prisma } from '../store/generated/client.ts'

const notIndexed = async () => undefined

/** Grants: what a member allowed a client. They outlive sessions and stores; deleting one ends every token of it. */
export function grantAdapter(db: Db, now: () => Date): Adapter {
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
      })
    },
    async find(id) {
      const row = await db.grant.findUnique({ where: { id } })
      return row && !isOver(row.expiresAt, now()) ? fromJson(row.payload) : undefined
    },
    findByUid: notIndexed,
    findByUserCode: notIndexed,
    consume: async () => {},
    async destroy(id) {
      await db.grant.deleteMany({ where: { id } })
    },
    async revokeByGrantId(grantId) {
      await db.grant.deleteMany({ where: { id: grantId } })
    },
  }
}

/** Refresh tokens, kept under a digest: who reads the table cannot use what it holds. */
export function refreshTokenAdapter(db: Db, now: () => Date): Adapter {
  return {
    async upsert(id, { jti: _token, ...payload }, expiresIn) {
      const { grantId } = payload
      if (!grantId) throw new Error('a refresh token belongs to a grant')
      const row = { grantId, payload: toJson(payload), expiresAt: expiryOf(now(), expiresIn) }
      await db.refreshToken
        .upsert({ where: { digest: digest(id) }, create: { digest: digest(id), ...row }, update: row })
        .catch((error: unknown) => {
          // The grant was revoked while this token was being made (reuse was detected): the token is dead at birth.
          if (!isForeignKeyViolation(error)) throw error
        })
    },
    async find(id) {
      const row = await db.refreshToken.findUnique({ where: { digest: digest(id) } })
      if (!row || isOver(row.expiresAt, now())) return undefined
      const consumed = row.consumedAt ? { consumed: Math.floor(row.consumedAt.getTime() / 1000) } : {}
      return { ...fromJson(row.payload), jti: id, ...consumed }
    },
    findByUid: notIndexed,
    findByUserCode: notIndexed,
    async consume(id) {
      const where = { digest: digest(id), consumedAt: null }
      const { count } = await db.refreshToken.updateMany({ where, data: { consumedAt: now() } })
      if (count === 1) return
      // RFC 9700 section 4.14.2: a rotated token used again ends the whole family, also when the two uses raced.
      await db.grant.deleteMany({ where: { refreshTokens: { some: { digest: digest(id) } } } })
      throw new errors.InvalidGrant('refresh token was already used')
    },
    async destroy(id) {
      await db.refreshToken.deleteMany({ where: { digest: digest(id) } })
    },
    // The engine calls this on sign-out too. A member has one grant per client, so it would end offline access that was
    // given in other browsers. Where tokens are to end, their grant is deleted, and they go with it.
    revokeByGrantId: async () => {},
  }
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
