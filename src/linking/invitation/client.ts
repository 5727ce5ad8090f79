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
})

/** RFC 9700 section 4.1.3: an address that the client has registered, letter by letter. */
export function isReturnAddress({ metadata }: Client, address: string): boolean {
  return registered.parse(metadata).redirect_uris.includes(address)
}
