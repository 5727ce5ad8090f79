import { type Adapter, type AdapterPayload, errors } from 'oidc-provider'
import { digest } from '../security/digest.ts'
import { type Db, inTransaction } from '../store/db.ts'
import { findClientMetadata } from './clients/client.ts'
import { deleteClient, registerClient, replaceRegistration } from './clients/dynamic.ts'
import { takeUse } from './clients/registration-token.ts'
import { currentRegistration, policyName } from './registration.ts'

const nothing = async () => undefined
const unsupported = () => Promise.reject(new Error('the engine does not do this to this model'))
const unused = {
  findByUid: nothing,
  findByUserCode: nothing,
  consume: unsupported,
  revokeByGrantId: unsupported,
}

/** Clients: written by administrators, and by the engine when a client registers itself. */
export function clientAdapter(db: Db, now: () => Date): Adapter {
  return {
    ...unused,
    async upsert(id, metadata) {
      const { isNew, initialToken, secret } = currentRegistration()
      const registration = { id, metadata, secret }
      await inTransaction(db, async (tx) => {
        if (!isNew) {
          if (await replaceRegistration(tx, registration, now())) return
          throw new errors.InvalidToken('client not found')
        }
        if (!initialToken || !(await takeUse(tx, initialToken, now())))
          throw new errors.InvalidToken('initial access token is used up')
        await registerClient(tx, registration, now())
      })
    },
    find: (id) => findClientMetadata(db, id, now()),
    async destroy(id) {
      await inTransaction(db, (tx) => deleteClient(tx, id, now()))
    },
  }
}

/** Made by administrators; the engine only reads them. One that is used up, or over, is not found. */
export function initialAccessTokenAdapter(db: Db, now: () => Date): Adapter {
  return {
    ...unused,
    upsert: unsupported,
    async find(id) {
      const row = await db.registrationToken.findUnique({ where: { digest: digest(id), kind: 'initial' } })
      if (!row || (row.expiresAt && row.expiresAt <= now())) return undefined
      if (row.maxUses !== null && row.uses >= row.maxUses) return undefined
      const policies = [policyName]
      return { ...(row.payload as AdapterPayload), jti: id, kind: 'InitialAccessToken', policies }
    },
    destroy: unsupported,
  }
}

/** With these a client manages its registration. They end with it, and rest while it is disabled. */
export function registrationAccessTokenAdapter(db: Db, now: () => Date): Adapter {
  return {
    ...unused,
    async upsert(id, { jti: _token, ...payload }) {
      const { clientId } = payload
      if (!clientId) throw new Error('a registration access token belongs to a client')
      await db.registrationToken.create({
        data: {
          digest: digest(id),
          kind: 'registration',
          clientId,
          payload: payload as object,
          createdAt: now(),
        },
      })
    },
    async find(id) {
      const row = await db.registrationToken.findUnique({
        where: { digest: digest(id), kind: 'registration' },
        include: { client: { select: { disabledAt: true } } },
      })
      if (!row?.client || row.client.disabledAt) return undefined
      return { ...(row.payload as AdapterPayload), jti: id }
    },
    async destroy(id) {
      await db.registrationToken.deleteMany({ where: { digest: digest(id) } })
    },
  }
}
