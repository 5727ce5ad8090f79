/** What tokens can be signed with; the first is the default. OpenID Connect Core 15.1 has every provider offer RS256. */
export const algorithms = ['ES256', 'RS256', 'PS256', 'EdDSA'] as const
export type Algorithm = (typeof algorithms)[number]

/** What is known of a signing key besides the key itself. */
export interface KeyFacts {
  kid: string
  alg: string
  /** Counts the keys of one algorithm: a later key has a higher one, whatever the clocks said. */
  position: number
  activeFrom: Date
  retiredAt: Date | null
  destroyedAt: Date | null
}

export interface KeyPolicy {
  /** How long a key signs before the next takes over; 0 leaves that to commands. */
  rotationDays: number
  /** How long a scheduled key is published before it signs. */
  publishAheadSeconds: number
  /** How long a key that no longer signs is still published: what it signed comes back as `id_token_hint`. */
  retiredDays: number
}

export type KeyAction =
  | { action: 'create'; alg: Algorithm; position: number; activeFrom: Date }
  | { action: 'retire'; kid: string }
  | { action: 'destroy'; kid: string }

export type KeyState = 'published' | 'active' | 'retired' | 'destroyed'

/** How long anybody may keep the published key set. */
export const keySetMaxAgeSeconds = 300
/** How long a key is published at least before it signs, unless an emergency asks for less: every copy is fetched anew by then. */
export const leastPublishAheadSeconds = 2 * keySetMaxAgeSeconds

const dayMs = 86_400_000

/**
 * What the schedule asks for now. An algorithm without a usable key gets one that signs at once; any other is published
 * long before it signs. Done in part, or by several processes at once, it asks for the rest the next time.
 */
export function planKeys(keys: readonly KeyFacts[], now: Date, policy: KeyPolicy): KeyAction[] {
  return [
    ...algorithms.flatMap((alg) => planNext(alg, keys, now, policy)),
    ...keys.filter((key) => isSuperseded(key, keys, now)).map(({ kid }) => toRetire(kid)),
    ...keys.filter((key) => isSpent(key, now, policy)).map(({ kid }) => toDestroy(kid)),
  ]
}

const toRetire = (kid: string): KeyAction => ({ action: 'retire', kid })
const toDestroy = (kid: string): KeyAction => ({ action: 'destroy', kid })

function planNext(alg: Algorithm, keys: readonly KeyFacts[], now: Date, policy: KeyPolicy): KeyAction[] {
  const position = nextPosition(alg, keys)
  const newest = ofAlgorithm(alg, keys).find(isInUse)
  if (!newest) return [{ action: 'create', alg, position, activeFrom: now }]
  if (policy.rotationDays === 0) return []
  const due = newest.activeFrom.getTime() + policy.rotationDays * dayMs
  const soonest = now.getTime() + policy.publishAheadSeconds * 1000
  if (due > soonest) return []
  // A server that was down when it was due does not sign with what nobody has seen.
  return [{ action: 'create', alg, position, activeFrom: new Date(Math.max(due, soonest)) }]
}

/** The place after every key of the algorithm there ever was: of those who take it at once, one succeeds. */
export function nextPosition(alg: Algorithm, keys: readonly KeyFacts[]): number {
  return (ofAlgorithm(alg, keys)[0]?.position ?? -1) + 1
}

function isSuperseded(key: KeyFacts, keys: readonly KeyFacts[], now: Date): boolean {
  return isInUse(key) && keys.some((later) => later.position > key.position && isActive(later, key.alg, now))
}

function isSpent({ retiredAt, destroyedAt }: KeyFacts, now: Date, { retiredDays }: KeyPolicy): boolean {
  return (
    retiredAt !== null && destroyedAt === null && retiredAt.getTime() + retiredDays * dayMs <= now.getTime()
  )
}

/**
 * Every key to be published, in the order in which the engine looks for one to sign with: the default algorithm first,
 * and of each algorithm the newest that is active. A clock that is late, or a key that was taken back, never leaves an
 * algorithm without one: then the next to become active signs, which the others published before.
 */
export function orderForSigning<K extends KeyFacts>(keys: readonly K[], now: Date): K[] {
  return keys
    .filter(({ destroyedAt }) => destroyedAt === null)
    .toSorted(
      (a, b) =>
        rank(a.alg) - rank(b.alg) ||
        fitness(a, now) - fitness(b, now) ||
        (fitness(a, now) === waiting ? a.position - b.position : b.position - a.position),
    )
}

const [signing, waiting, over] = [0, 1, 2]

function fitness(key: KeyFacts, now: Date): number {
  if (!isInUse(key)) return over
  return key.activeFrom > now ? waiting : signing
}

function rank(alg: string): number {
  const place = algorithms.map(String).indexOf(alg)
  // One that only a newer version knows is published as well.
  return place < 0 ? algorithms.length : place
}

/** What a key is at this moment. Of several active ones of an algorithm the newest signs. */
export function stateOf({ activeFrom, retiredAt, destroyedAt }: KeyFacts, now: Date): KeyState {
  if (destroyedAt) return 'destroyed'
  if (retiredAt) return 'retired'
  return activeFrom > now ? 'published' : 'active'
}

/** Whether the algorithm can go on signing without this key. */
export function isDispensable(key: KeyFacts, keys: readonly KeyFacts[], now: Date): boolean {
  if (stateOf(key, now) !== 'active') return true
  return keys.some((other) => other.kid !== key.kid && isActive(other, key.alg, now))
}

const isInUse = ({ retiredAt, destroyedAt }: KeyFacts) => retiredAt === null && destroyedAt === null
const isActive = (key: KeyFacts, alg: string, now: Date) => key.alg === alg && stateOf(key, now) === 'active'

/** Newest first. */
function ofAlgorithm(alg: string, keys: readonly KeyFacts[]): KeyFacts[] {
  return keys.filter((key) => key.alg === alg).toSorted((a, b) => b.position - a.position)
}
