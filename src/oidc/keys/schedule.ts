import { inTransaction } from '../../store/db.ts'
import { type KeyAction, type KeyFacts, type KeyPolicy, planKeys } from './plan.ts'
import { createSigningKey, destroySigningKey, type KeyMaking, retireSigningKey } from './signing-key.ts'

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
  const actions = planKeys(keys, now, policy)
  // At once, because at the first start there are four to make and the RSA ones take their time.
  await Promise.all(actions.map((action) => carryOut(making, action, now)))
  return actions.length > 0
}

async function carryOut(making: KeyMaking, action: KeyAction, now: Date): Promise<unknown> {
  switch (action.action) {
    case 'create':
      return createSigningKey(making, action, now)
    case 'retire':
      return inTransaction(making.db, (tx) => retireSigningKey(tx, action.kid, now))
    case 'destroy':
      return inTransaction(making.db, (tx) => destroySigningKey(tx, action.kid, now))
  }
}
