import { presentConnection } from '../../connections/connection.ts'
import type { Connection } from '../../connections/settings.ts'
import type { HttpContext } from '../../http/context.ts'
import { render } from '../../http/render.ts'
import { Problem } from '../../problem.ts'
import type { Db } from '../../store/db.ts'
import { consentDigest, consentText } from '../link-consent.ts'
import { accountOf, type LinkTransaction } from '../transaction.ts'

/** LINE is asked, and its word comes to us beside this browser: the page looks for it every few seconds, without a script. */
export async function showWaiting(
  { db, termsVersion }: { db: Db; termsVersion: string },
  ctx: HttpContext,
  transaction: LinkTransaction,
  connection: Connection,
): Promise<void> {
  const { locale, now } = ctx.state
  const basis = { connection, identity: accountOf(transaction), termsVersion, locale }
  ctx.set('Refresh', '3')
  render(ctx, 'linking/waiting', {
    transactionId: transaction.id,
    connection: presentConnection(connection, locale),
    shown: consentDigest(await consentText(db, basis, now)),
  })
}

/** Of two agreements at once the first asks LINE; the other one's page waits for the same word. */
export function orWait({ id }: LinkTransaction): (error: unknown) => string {
  return (error) => {
    if (error instanceof Problem && error.code === 'transaction_over') return `/link/${id}`
    throw error
  }
}
