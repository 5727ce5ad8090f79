import { type Adapter, type AdapterFactory, type AdapterPayload, errors } from 'oidc-provider'

interface Entry {
  payload: AdapterPayload
  expiresAt: number
}

type Model = Map<string, Entry>

const sweepAbove = 10_000

/**
 * The engine's storage in this process's memory: everything it put aside is gone after a restart,
 * and whoever was signed in signs in again.
 */
export function createMapAdapter(now: () => Date): AdapterFactory {
  return (name) => adapterOver(name, new Map(), now)
}

function adapterOver(name: string, model: Model, now: () => Date): Adapter {
  const isLive = (entry: Entry) => entry.expiresAt > now().getTime()
  const findBy = (matches: (payload: AdapterPayload) => boolean) =>
    [...model.values()].find((entry) => isLive(entry) && matches(entry.payload))?.payload

  return {
    async upsert(id, payload, expiresIn) {
      if (model.size > sweepAbove) dropWhere(model, (entry) => !isLive(entry))
      const expiresAt = expiresIn ? now().getTime() + expiresIn * 1000 : Number.POSITIVE_INFINITY
      model.set(id, { payload, expiresAt })
    },
    async find(id) {
      const entry = model.get(id)
      return entry && isLive(entry) ? entry.payload : undefined
    },
    findByUid: async (uid) => findBy((payload) => payload.uid === uid),
    findByUserCode: async (userCode) => findBy((payload) => payload.userCode === userCode),
    async consume(id) {
      const payload = model.get(id)?.payload
      // RFC 6749 section 4.1.2: a code is used once. Only a throw here stops the second of two at a time.
      if (!payload || payload.consumed !== undefined) throw new errors.InvalidGrant(`${name} was used before`)
      payload.consumed = Math.floor(now().getTime() / 1000)
    },
    async destroy(id) {
      model.delete(id)
    },
    async revokeByGrantId(grantId) {
      dropWhere(model, (entry) => entry.payload.grantId === grantId)
    },
  }
}

function dropWhere(model: Model, matches: (entry: Entry) => boolean): void {
  for (const [id, entry] of model) if (matches(entry)) model.delete(id)
}
