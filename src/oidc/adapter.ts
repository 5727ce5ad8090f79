import type { Adapter, AdapterFactory } from 'oidc-provider'
import { noteSessions } from './client-session.ts'
import { ephemeralAdapter } from './ephemeral-adapter.ts'
import { grantAdapter } from './grant-adapter.ts'
import type { EngineDeps } from './recent.ts'
import { refreshTokenAdapter } from './refresh-tokens.ts'
import {
  clientAdapter,
  initialAccessTokenAdapter,
  registrationAccessTokenAdapter,
} from './registration-adapter.ts'
import { tellUnavailable } from './unavailable.ts'

/**
 * Where each of the engine's models lives: what must never be lost in PostgreSQL, the rest in the ephemeral store.
 * A store that cannot be reached is told as such: 503, try again.
 */
export function engineAdapter(deps: EngineDeps): AdapterFactory {
  return (model) => answering503(select(model, deps))
}

function select(model: string, deps: EngineDeps): Adapter {
  const { db, recent, now } = deps
  switch (model) {
    case 'Grant':
      return grantAdapter(db, recent, now)
    case 'RefreshToken':
      return refreshTokenAdapter(db, now)
    case 'Client':
      return clientAdapter(db, now)
    case 'InitialAccessToken':
      return initialAccessTokenAdapter(db, now)
    case 'RegistrationAccessToken':
      return registrationAccessTokenAdapter(db, now)
    case 'AuthorizationCode':
    case 'DeviceCode':
      return noteSessions(ephemeralAdapter(model, deps), db, now)
    default:
      return ephemeralAdapter(model, deps)
  }
}

function answering503(adapter: Adapter): Adapter {
  const guard =
    <A extends unknown[], R>(operation: (...args: A) => Promise<R>) =>
    (...args: A): Promise<R> =>
      operation(...args).catch(tellUnavailable)
  return {
    upsert: guard(async (id, payload, expiresIn) => adapter.upsert(id, payload, expiresIn)),
    find: guard(async (id) => adapter.find(id)),
    findByUid: guard(async (uid) => adapter.findByUid(uid)),
    findByUserCode: guard(async (userCode) => adapter.findByUserCode(userCode)),
    consume: guard(async (id) => adapter.consume(id)),
    destroy: guard(async (id) => adapter.destroy(id)),
    revokeByGrantId: guard(async (grantId) => adapter.revokeByGrantId(grantId)),
  }
}
