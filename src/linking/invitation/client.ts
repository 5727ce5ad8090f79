import { z } from 'zod'
import type { Tx } from '../../store/db.ts'
import type { Client, ClientConnection } from '../../store/generated/client.ts'

/** A client that may have to do with a connection, and what it may do there. */
export interface LinkingClient {
  row: Client
  rights: ClientConnection
}

/** Undefined for a client that is disabled, or has nothing to do with the connection. */
export async function findLinkingClient(
  tx: Tx,
  clientId: string,
  connectionId: string,
): Promise<LinkingClient | undefined> {
  const row = await tx.client.findUnique({
    where: { id: clientId },
    include: { connections: { where: { connectionId } } },
  })
  const rights = row?.connections[0]
  return row && rights && !row.disabledAt ? { row, rights } : undefined
}

const registered = z.object({
  redirect_uris: z.array(z.string()).default([]),
  token_endpoint_auth_method: z.string().optional(),
})

/** RFC 9700 section 4.1.3: an address that the client has registered, letter by letter. */
export function isReturnAddress({ metadata }: Client, address: string): boolean {
  return registered.parse(metadata).redirect_uris.includes(address)
}

/** Whether anybody can say to be this client (RFC 6749 section 2.1). */
export function isPublic({ metadata }: Client): boolean {
  return registered.parse(metadata).token_endpoint_auth_method === 'none'
}

/** RFC 9700 section 2.6: a browser application calls from where its own pages are. */
export function isOwnOrigin({ metadata }: Client, origin: string): boolean {
  // `null` is what a page without an origin says, and what an address of an installed application has for one.
  if (!/^https?:/.test(origin)) return false
  return registered.parse(metadata).redirect_uris.some((uri) => URL.parse(uri)?.origin === origin)
}
