import { type Db, inTransaction } from '../../store/db.ts'
import { type Algorithm, isDispensable, nextPosition } from './plan.ts'
import {
  destroySigningKey,
  type KeyMaking,
  makeSigningKey,
  readKeyFacts,
  retireSigningKey,
  storeSigningKey,
} from './signing-key.ts'

/** Makes the next key of an algorithm out of turn. Undefined when somebody else has made it at this very moment. */
export async function rotateSigningKey(
  making: KeyMaking,
  alg: Algorithm,
  activeFrom: Date,
  now: Date,
): Promise<string | undefined> {
  const position = nextPosition(alg, await readKeyFacts(making.db))
  const key = await makeSigningKey(making, { alg, position, activeFrom }, now)
  return (await storeSigningKey(making.db, key)) ? key.kid : undefined
}

const removals = { retire: retireSigningKey, destroy: destroySigningKey }
export type Removal = keyof typeof removals

/**
 * Takes a key out of signing, or out of the world, before its time. `needed`: its algorithm has no other that is active,
 * so nothing was done.
 */
export function removeSigningKey(
  db: Db,
  kid: string,
  removal: Removal,
  now: Date,
): Promise<'done' | 'unchanged' | 'unknown' | 'needed'> {
  return inTransaction(db, async (tx) => {
    // Of two that are removed at once, the second is judged by what the first has left.
    await tx.$queryRaw`
      SELECT "kid" FROM "SigningKey" WHERE "alg" = (SELECT "alg" FROM "SigningKey" WHERE "kid" = ${kid})
      ORDER BY "position" FOR UPDATE`
    const keys = await readKeyFacts(tx)
    const key = keys.find((candidate) => candidate.kid === kid)
    if (!key) return 'unknown'
    if (!isDispensable(key, keys, now)) return 'needed'
    return (await removals[removal](tx, kid, now)) ? 'done' : 'unchanged'
  })
}
