import { inTransaction } from '../../store/db.ts'
import { type KeyFacts, type KeyPolicy, planKeys } from './plan.ts'
import {
  destroySigningKey,
  type KeyMaking,
  makeSigningKey,
  retireSigningKey,
  storeSigningKey,
} from './signing-key.ts'

/**
 * Carries out what is due. Any number of processes may do so at once: a unique position or a conditional update decides
 * which of them does each thing, and the others do nothing. True when anything was due.
 */
export async function runKeySchedule(
  making: KeyMaking,
  keys: readonly KeyFacts[],
  policy: KeyPolicy,
  now: Date,
): Promise<boolean> {
  const { db } = making
  const actions = planKeys(keys, now, policy)
  // Made at once, because at the first start there are four and the RSA ones take their time.
  const made = await Promise.all(
    actions.flatMap((due) => (due.action === 'create' ? makeSigningKey(making, due, now) : [])),
  )
  for (const key of made) await storeSigningKey(db, key)
  for (const due of actions) {
    if (due.action === 'retire') await inTransaction(db, (tx) => retireSigningKey(tx, due.kid, now))
    if (due.action === 'destroy') await inTransaction(db, (tx) => destroySigningKey(tx, due.kid, now))
  }
  return actions.length > 0
}
