import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export interface TcpProxy {
  port: number
  /** The next bytes the server sends are swallowed and the connection is cut: a reply that never arrives. */
  loseNextReply(): void
  /** Nothing is passed on in either direction, nor is anything closed: a peer that hangs. */
  mute(isMute: boolean): void
  /** Connections made from then on lead elsewhere; those that stand stay. */
  leadTo(targetPort: number): void
  close(): Promise<void>
}

/** Stands between a client and a server on loopback. */
export async function startTcpProxy(targetPort: number): Promise<TcpProxy> {
  let loseReply = false
  let isMute = false
  let target = targetPort
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1')
    const cut = () => {
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', cut)
      socket.on('close', () => sockets.delete(socket))
    }
    client.on('data', (request) => {
      if (!isMute) upstream.write(request)
    })
    client.on('close', cut)
    upstream.on('close', cut)
    upstream.on('data', (reply) => {
      if (isMute) return false
      if (!loseReply) return client.write(reply)
      loseReply = false
      return cut()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (!address || typeof address !== 'object') throw new Error('the proxy has no port')
  return {
    port: address.port,
    loseNextReply: () => {
      loseReply = true
    },
    mute: (value) => {
      isMute = value
    },
    leadTo: (port) => {
      target = port
    },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
