import { type Adapter, type AdapterPayload, errors } from 'oidc-provider'
import { digest } from '../security/digest.ts'
import { noteChange } from '../store/db.ts'
import type { Ephemeral } from '../store/ephemeral.ts'
import { type EngineDeps, mayBeRecent, readEntry } from './recent.ts'
import { mayBe } from './token-kinds.ts'

/** The engine accepts a stored entry this long after its `exp` (clockTolerance), so it is kept that much longer. */
export const clockToleranceSeconds = 15
/** Longer than anything that is consumed lives (device codes: 600 s), so that a mark outlives what it marks. */
const consumedMarkSeconds = 3600

/** What programs ask for again and again, and nothing else: what is used once is asked for once. */
const reusable = ['AccessToken', 'ClientCredentials', 'Session']
const consumable = ['AuthorizationCode', 'DeviceCode', 'PushedAuthorizationRequest']

/**
 * The engine's short-lived entities: lost with the store, at the price of signing in again. Each step is one command
 * on one key, or on two keys of one hash tag.
 */
export function ephemeralAdapter(model: string, { db, store, recent, now }: EngineDeps): Adapter {
  const key = (id: string) => `oidc:{${model}:${id}}`
  const consumedKey = (id: string) => `${key(id)}:consumed`
  const pointer = (kind: string, value: string) => `oidc:${kind}:${value}`

  const isReusable = reusable.includes(model)
  const read = async (at: string): Promise<AdapterPayload | undefined> => {
    const isShared = isReusable && mayBeRecent()
    const entry = await (isShared ? recent.entries.get(at) : readEntry(store, at))
    return isShared && entry ? { ...entry } : entry
  }
  const find = async (id: string): Promise<AdapterPayload | undefined> => {
    if (!mayBe(model, id)) return undefined
    if (!consumable.includes(model)) return read(key(id))
    const [stored, consumed] = await store.getMany([key(id), consumedKey(id)])
    if (!stored) return undefined
    return { ...JSON.parse(stored), ...(consumed && { consumed: Number(consumed) }) }
  }

  return {
    async upsert(id, payload, expiresIn) {
      if (isTaken(model, payload) && !(await store.setIfAbsent(`${key(id)}:taken`, '1', consumedMarkSeconds)))
        throw Object.assign(new errors.InvalidRequest('the code was already used'), {
          name: 'AlreadyUsedError',
        })
      const ttl = Math.max(1, Math.ceil(expiresIn ?? 0)) + clockToleranceSeconds
      const text = JSON.stringify(payload)
      // The entity before its pointers: a pointer never leads to nothing.
      await store.set(key(id), text, ttl)
      // Each use of a token that ends with its session looks for the session, so it is there whole.
      if (model === 'Session' && payload.uid) await store.set(pointer('session', payload.uid), text, ttl)
      recent.entries.drop(key(id))
      if (payload.uid) recent.entries.drop(pointer('session', payload.uid))
      if (payload.userCode) await store.set(pointer('user-code', payload.userCode), id, ttl)
    },
    find,
    findByUid: (uid) => read(pointer('session', uid)),
    async findByUserCode(userCode) {
      const id = await store.get(pointer('user-code', userCode))
      return id === undefined ? undefined : find(id)
    },
    async consume(id) {
      if (
        await store.setIfAbsent(
          consumedKey(id),
          String(Math.floor(now().getTime() / 1000)),
          consumedMarkSeconds,
        )
      )
        return
      if (model === 'PushedAuthorizationRequest')
        throw new errors.InvalidRequestUri('request_uri was already used')
      // RFC 6749 section 4.1.2: a code used twice ends the tokens it gave, also when the two uses raced.
      const entity = await find(id)
      if (entity?.grantId) {
        await db.grant.deleteMany({ where: { id: entity.grantId } })
        noteChange(db, { topic: 'grant', id: entity.grantId })
      }
      throw new errors.InvalidGrant(`${model} was already used`)
    },
    async destroy(id) {
      const uid = model === 'Session' ? (await find(id))?.uid : undefined
      const keys = [key(id), ...(uid ? [pointer('session', uid)] : [])]
      await store.delete(...keys)
      keys.forEach(recent.entries.drop)
    },
    // Every use of a token reads its grant again, so deleting the grant has ended them all.
    revokeByGrantId: async () => {},
  }
}

/**
 * Whether this is the moment in which somebody takes a user code, or turns it down: of any number who do so at once, one
 * does. The engine only looks first. What follows, sign-in and consent, is theirs alone.
 */
function isTaken(model: string, { inFlight, accountId, error }: AdapterPayload): boolean {
  return model === 'DeviceCode' && (inFlight ? !accountId && !error : error !== undefined)
}

/** RFC 7523 section 3 (7), RFC 9449 section 11.1: of any number of presentations of one `jti`, one is the first. */
export function replayGuard(store: Ephemeral, now: () => Date) {
  return (issuer: string, jti: string, expiresAt: number): Promise<boolean> => {
    const ttl = Math.max(1, Math.ceil(expiresAt - now().getTime() / 1000)) + 2 * clockToleranceSeconds
    return store.setIfAbsent(`oidc:jti:${digest(`${issuer}\0${jti}`)}`, '1', ttl)
  }
}
