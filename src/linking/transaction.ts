import type { UpstreamTokens, VerifiedIdentity } from '../connections/connector.ts'
import type { Locale } from '../http/i18n.ts'
import { Problem } from '../problem.ts'
import { digest } from '../security/digest.ts'
import type { Random } from '../security/random.ts'
import type { Sealer } from '../security/seal.ts'
import type { Ephemeral } from '../store/ephemeral.ts'

const ttlSeconds = 600

/**
 * One linking in progress. Bound from the start to a browser, a connection and a purpose, and to a member as soon as
 * one is known; once proved, to exactly one upstream account. Lives ten minutes and is used up by whatever ends it.
 */
export interface LinkTransaction {
  id: string
  connectionId: string
  purpose: 'link' | 'sign_in'
  /** The browser, as its binding for this purpose. */
  browser: string
  memberId?: string
  /** For `link`: the session that asked. */
  sessionUid?: string
  /** For `sign_in`: the interaction to go back to, the client it is for, and the language it is in. */
  interactionUid?: string
  clientId?: string
  locale?: Locale
  /** The upstream must ask anew who it is, in every trip of this transaction: its own session will not do. */
  forceSignIn: boolean
  /** How often the upstream came back in another browser and was tried again. */
  retries: number
  proved?: { identity: VerifiedIdentity; sealedTokens: string }
}

export interface Transactions {
  start(fresh: Omit<LinkTransaction, 'id' | 'retries'>): Promise<LinkTransaction>
  /** @throws Problem transaction_over, wrong_browser */
  get(id: string, browsers: readonly string[]): Promise<LinkTransaction>
  /** Changes what was read, unless somebody else did so first. @throws Problem transaction_over */
  change(transaction: LinkTransaction, change: Partial<LinkTransaction>): Promise<LinkTransaction>
  /** Ends it: true for exactly one caller. Whoever comes later is sent to `after`. */
  burn(transaction: LinkTransaction, after: string): Promise<boolean>
  /** Where a transaction that is over has led, for the same browser. */
  findOutcome(id: string, browsers: readonly string[]): Promise<string | undefined>
  sealTokens(id: string, tokens: UpstreamTokens): string
  openTokens(transaction: LinkTransaction): UpstreamTokens
}

export function linkTransactions(store: Ephemeral, random: Random, sealer: Sealer): Transactions {
  const key = (id: string) => `link:${id}`
  const outcomeKey = (id: string, browser: string) => `link-outcome:${digest(`${id}\0${browser}`)}`
  const sealContext = (id: string) => `link transaction ${id}`
  return {
    async start(fresh) {
      const transaction = { ...fresh, id: random.token(24), retries: 0 }
      await store.set(key(transaction.id), JSON.stringify(transaction), ttlSeconds)
      return transaction
    },
    async get(id, browsers) {
      const stored = /^[\w-]{20,64}$/.test(id) ? await store.get(key(id)) : undefined
      if (!stored) throw new Problem('transaction_over')
      const transaction: LinkTransaction = JSON.parse(stored)
      // The transaction's address is no secret (history, referrers); the browser it began in is what opens it.
      if (!browsers.includes(transaction.browser)) throw new Problem('wrong_browser')
      return transaction
    },
    async change(transaction, change) {
      const changed = { ...transaction, ...change }
      if (await store.replace(key(transaction.id), JSON.stringify(transaction), JSON.stringify(changed)))
        return changed
      throw new Problem('transaction_over')
    },
    async burn({ id, browser }, after) {
      // Before it ends, so that whoever finds it over also finds where it has led.
      await store.setIfAbsent(outcomeKey(id, browser), after, ttlSeconds)
      return (await store.take(key(id))) !== undefined
    },
    async findOutcome(id, browsers) {
      const found = await Promise.all(browsers.map((browser) => store.get(outcomeKey(id, browser))))
      return found.find((path) => path !== undefined)
    },
    sealTokens: (id, tokens) => sealer.seal(JSON.stringify(tokens), sealContext(id)),
    openTokens({ id, proved }) {
      if (!proved) throw new Error('the transaction has no tokens yet')
      return JSON.parse(sealer.open(proved.sealedTokens, sealContext(id)))
    },
  }
}
