import { z } from 'zod'
import type { Random } from '../../security/random.ts'
import type { Sealer } from '../../security/seal.ts'

/** Leave to try one connection out, in one browser, once. */
export interface TrialTicket {
  id: string
  connectionId: string
  /** Seconds since 1970. */
  expiresAt: number
}

export const trialLifeSeconds = 600
export const trialPath = '/connection-trial'

const context = 'connection trial'
const ticketSchema = z.object({ id: z.string(), connectionId: z.string(), expiresAt: z.number() })

/** The address at which an operator tries a connection. Whoever can seal as the server does may hand it out. */
export function trialUrl(
  { sealer, random, issuer }: { sealer: Sealer; random: Random; issuer: string },
  connectionId: string,
  now: Date,
): string {
  const expiresAt = Math.floor(now.getTime() / 1000) + trialLifeSeconds
  const ticket: TrialTicket = { id: random.token(), connectionId, expiresAt }
  const url = new URL(trialPath, issuer)
  // As a parameter: of an address, only the path is logged.
  url.searchParams.set('ticket', sealer.seal(JSON.stringify(ticket), context))
  return url.href
}

/** A ticket that was sealed here and has not run out. */
export function openTicket(sealer: Sealer, sealed: string | undefined, now: Date): TrialTicket | undefined {
  const ticket = ticketSchema.safeParse(parse(sealer, sealed)).data
  return ticket && now.getTime() < ticket.expiresAt * 1000 ? ticket : undefined
}

function parse(sealer: Sealer, sealed: string | undefined): unknown {
  try {
    return sealed === undefined ? undefined : JSON.parse(sealer.open(sealed, context))
  } catch {
    return undefined
  }
}
