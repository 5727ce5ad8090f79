import { z } from 'zod'
import { type Locale, localizedName } from '../../http/i18n.ts'
import type { Tx } from '../../store/db.ts'
import { accountClientId } from './account-client.ts'

/** A relying party as somebody who is lost there, or here, finds back to it. */
export interface ClientHome {
  name: string
  /** Its home page as it was registered; never an address of the request. */
  uri: string | undefined
  isDisabled: boolean
}

const registered = z.object({
  client_uri: z
    .url({ protocol: /^https?$/ })
    .optional()
    .catch(undefined),
})

/** Our own pages are no relying party. Any text may be asked for. */
export async function findClientHome(tx: Tx, id: unknown, locale: Locale): Promise<ClientHome | undefined> {
  // RFC 6749 Appendix A.1: printable ASCII; the database refuses some of the rest.
  if (typeof id !== 'string' || !/^[\x20-\x7e]{1,255}$/.test(id) || id === accountClientId) return undefined
  const select = { name: true, metadata: true, disabledAt: true }
  const row = await tx.client.findUnique({ where: { id }, select })
  if (!row) return undefined
  const { client_uri: uri } = registered.parse(row.metadata)
  return { name: localizedName.parse(row.name)[locale], uri, isDisabled: row.disabledAt !== null }
}
