import type { ClientConnection } from '../../store/generated/client.ts'

/** What a client may do with connections, each by the ids of those it is so for. */
export interface ConnectionRights {
  /** Sees linked subjects, where the member agreed. */
  connections: string[]
  /** Its word on who holds an account is taken. */
  vouchConnections: string[]
  /** Is handed the upstream's access tokens of its members. */
  tokenConnections: string[]
}

type Row = Omit<ClientConnection, 'clientId'>

/** One row for each connection that is named at all. */
export function toConnectionRows({
  connections,
  vouchConnections,
  tokenConnections,
}: ConnectionRights): Row[] {
  return [...new Set([...connections, ...vouchConnections, ...tokenConnections])].map((connectionId) => ({
    connectionId,
    discloses: connections.includes(connectionId),
    vouches: vouchConnections.includes(connectionId),
    handsOut: tokenConnections.includes(connectionId),
  }))
}

export function toConnectionRights(rows: readonly Row[]): ConnectionRights {
  const idsWhere = (has: (row: Row) => boolean) =>
    rows
      .filter(has)
      .map(({ connectionId }) => connectionId)
      .sort()
  return {
    connections: idsWhere(({ discloses }) => discloses),
    vouchConnections: idsWhere(({ vouches }) => vouches),
    tokenConnections: idsWhere(({ handsOut }) => handsOut),
  }
}
