import { type Adapter, type AdapterPayload, errors } from 'oidc-provider'
import { recordEvent } from '../events/outbox.ts'
import { type Db, inTransaction, noteChange } from '../store/db.ts'
import type { Prisma } from '../store/generated/client.ts'
import { noteKnown } from './lineage.ts'
import { mayBeRecent, type Recent, readGrant } from './recent.ts'

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
        if (count === 0) {
          await tx.grant.create({ data: { ...update, id, memberId, clientId, createdAt: now() } })
          // After the grant, which waits for whoever holds the member: its own row held, it would be waited for.
          await noteKnown(tx, clientId, memberId, now())
        }
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
