import type { UpstreamTokens, VerifiedIdentity } from '../connections/connector.ts'
import type { Locale } from '../http/i18n.ts'
import { Problem } from '../problem.ts'
import { digest } from '../security/digest.ts'
import type { Random } from '../security/random.ts'
import type { Sealer } from '../security/seal.ts'
import type { Ephemeral } from '../store/ephemeral.ts'
import { type LinkNotice, type LinkOutcome, pathAfter } from './outcome.ts'
import type { LinkTrail } from './way.ts'

const ttlSeconds = 600
/** How long a browser is still led to where it came from: as long as an interaction waits. */
const endSeconds = 3600

/**
 * One linking in progress. Bound from the start to a browser, a connection and a purpose, and to a member as soon as
 * one is known; once proved, to exactly one upstream account. Lives ten minutes and is used up by whatever ends it.
 */
export interface LinkTransaction extends LinkTrail {
  id: string
  purpose: 'link' | 'sign_in'
  /** The browser, as its binding for this purpose. */
  browser: string
  memberId?: string
  /** For `link`: the session that asked. */
  sessionUid?: string
  /** The interaction to go back to, when one waits. */
  interactionUid?: string
  /** Our own page to go to when it is over, instead of the account page: with a query of its own. */
  endPath?: string
  locale?: Locale
  /** The upstream must ask anew who it is, in every trip of this transaction: its own session will not do. */
  forceSignIn: boolean
  /** How often the upstream came back in another browser and was tried again. */
  retries: number
  /** Without tokens where somebody else than the upstream has brought the proof. */
  proved?: { identity: VerifiedIdentity; sealedTokens?: string }
  /** LINE's account link: the account that asked in the talk. Its holder is not proved before LINE has confirmed it. */
  invited?: { identity: VerifiedIdentity; linkToken: string }
  /** The member has agreed to link it, and LINE is asked: the digest of its nonce. */
  awaits?: string
  /** When, in seconds; where nothing is said the proof counts as an old one. */
  provedAt?: number
  /** A sign-in to the member who holds the account, given for this transaction alone: it begins no session. */
  ownerSignIn?: { memberId: string; at: number; validFrom: number }
  /** The client's own address that it leads back to, with the outcome and the client's `state`. */
  returnTo?: string
  clientState?: string
  /** The page that has to let it on, from its start or once the account is proved; meanwhile nothing is agreed to. */
  held?: { at: string; from: 'start' | 'proof' } | undefined
}

/** Where a transaction waits for another device, if it does. */
export function heldPage({ held, proved }: LinkTransaction): string | undefined {
  return held && (held.from === 'start' || proved) ? held.at : undefined
}

/** The account it is about: proved, or, before LINE has confirmed it, the one that asked in the talk. @throws Problem transaction_over */
export function accountOf({ proved, invited }: LinkTransaction): VerifiedIdentity {
  const account = proved ?? invited
  if (!account) throw new Problem('transaction_over')
  return account.identity
}

export interface Transactions {
  start(fresh: Omit<LinkTransaction, 'id' | 'retries'>): Promise<LinkTransaction>
  /** @throws Problem transaction_over, wrong_browser */
  get(id: string, browsers: readonly string[]): Promise<LinkTransaction>
  /** Changes what was read, unless somebody else did so first. @throws Problem transaction_over */
  change(transaction: LinkTransaction, change: Partial<LinkTransaction>): Promise<LinkTransaction>
  /**
   * Ends it: true for exactly one caller. Whoever comes later is sent where it led. Without an outcome it is one that is
   * about to be carried out: tell how that went with `settle`.
   */
  burn(transaction: LinkTransaction, outcome?: LinkOutcome): Promise<boolean>
  settle(transaction: LinkTransaction, outcome: LinkOutcome, notice?: LinkNotice): Promise<void>
  /** For who has burned it and then could do nothing of what was agreed to: it goes on as it was. */
  reopen(transaction: LinkTransaction): Promise<void>
  /** How a transaction that is over ended and where it led, for the same browser. */
  findEnd(id: string, browsers: readonly string[]): Promise<TransactionEnd | undefined>
  sealTokens(id: string, tokens: UpstreamTokens): string
  openTokens(transaction: LinkTransaction): UpstreamTokens | undefined
}

export interface TransactionEnd {
  path: string
  /** Unset while it is carried out, for ever when the process died meanwhile, and when it ran out. */
  outcome?: LinkOutcome
}

export function linkTransactions(store: Ephemeral, random: Random, sealer: Sealer): Transactions {
  const key = (id: string) => `link:${id}`
  const endKey = (id: string, browser: string) => `link-end:${digest(`${id}\0${browser}`)}`
  const originKey = (id: string, browser: string) => `link-origin:${digest(`${id}\0${browser}`)}`
  const endOf = (transaction: LinkTransaction, outcome?: LinkOutcome, notice?: LinkNotice) =>
    JSON.stringify({ path: pathAfter(transaction, outcome, notice), outcome } satisfies {
      path: string
      outcome: LinkOutcome | undefined
    })
  const sealContext = (id: string) => `link transaction ${id}`
  return {
    async start(fresh) {
      const transaction = { ...fresh, id: random.token(24), retries: 0 }
      await store.set(key(transaction.id), JSON.stringify(transaction), ttlSeconds)
      // Where a relying party waits, a transaction that runs out leads back to it.
      if (fresh.purpose === 'link' && fresh.interactionUid)
        await store.set(originKey(transaction.id, fresh.browser), endOf(transaction), endSeconds)
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
    async burn(transaction, outcome) {
      const { id, browser } = transaction
      // Before it ends, so that whoever finds it over also finds where it has led.
      await store.setIfAbsent(endKey(id, browser), endOf(transaction, outcome), endSeconds)
      return (await store.take(key(id))) !== undefined
    },
    async settle(transaction, outcome, notice) {
      const { id, browser } = transaction
      await store.set(endKey(id, browser), endOf(transaction, outcome, notice), endSeconds)
    },
    async reopen(transaction) {
      const { id, browser } = transaction
      await store.set(key(id), JSON.stringify(transaction), ttlSeconds)
      await store.delete(endKey(id, browser))
    },
    async findEnd(id, browsers) {
      const keys = [endKey, originKey].flatMap((keyFor) => browsers.map((browser) => keyFor(id, browser)))
      const found = await Promise.all(keys.map((at) => store.get(at)))
      const stored = found.find((end) => end !== undefined)
      return stored === undefined ? undefined : JSON.parse(stored)
    },
    sealTokens: (id, tokens) => sealer.seal(JSON.stringify(tokens), sealContext(id)),
    openTokens({ id, proved }) {
      if (!proved) throw new Error('the transaction has no tokens yet')
      return proved.sealedTokens && JSON.parse(sealer.open(proved.sealedTokens, sealContext(id)))
    },
  }
}
