import { type KeyFacts, type KeyState, orderForSigning, stateOf } from '../oidc/keys/plan.ts'
import { readKeyFacts } from '../oidc/keys/signing-key.ts'
import type { Db } from '../store/db.ts'
import { moment } from './output.ts'

/** A signing key as the command shows it. */
export interface KeyView extends KeyFacts {
  createdAt: Date
  state: KeyState
  /** Its algorithm's tokens are signed with it now. */
  signs: boolean
}

/** In the order in which they are published, then those that are destroyed. */
export async function listKeys(db: Db, now: Date): Promise<KeyView[]> {
  const keys = await readKeyFacts(db)
  const published = orderForSigning(keys, now)
  const destroyed = keys.filter(({ destroyedAt }) => destroyedAt !== null)
  return [...published, ...destroyed].map((key) => ({
    ...key,
    state: stateOf(key, now),
    signs: published.find(({ alg }) => alg === key.alg) === key,
  }))
}

/** What a key does, in words. */
export function stateText({ state, signs, retiredAt, destroyedAt }: KeyView, retiredDays: number): string {
  switch (state) {
    case 'published':
      return signs ? 'signing' : 'published ahead'
    case 'active':
      return signs ? 'signing' : 'about to be retired'
    case 'retired':
      return retiredAt ? `retired, verifies until ${moment(later(retiredAt, retiredDays))}` : 'retired'
    case 'destroyed':
      return destroyedAt ? `destroyed ${moment(destroyedAt)}` : 'destroyed'
  }
}

const later = (date: Date, days: number) => new Date(date.getTime() + days * 86_400_000)
