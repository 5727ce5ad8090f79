import { once } from 'node:events'
import { createServer } from 'node:https'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { generate } from 'selfsigned'

/** What a relying party publishes about itself, over https that this process trusts. */
export interface ClientDocuments {
  origin: string
  host: string
  /** By path; what is not there is answered with 404. */
  pages: Map<string, { body: unknown; status?: number; headers?: Record<string, string> }>
  /** The paths that were asked for, in order. */
  requests: string[]
  close(): Promise<void>
}

export async function startClientDocuments(): Promise<ClientDocuments> {
  const pages: ClientDocuments['pages'] = new Map()
  const requests: string[] = []
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }],
  })
  setDefaultCACertificates([...getCACertificates('default'), cert])
  const server = createServer({ cert, key }, (request, response) => {
    const path = request.url ?? ''
    requests.push(path)
    const { body, status = 200, headers } = pages.get(path) ?? { body: 'not here', status: 404 }
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  }).listen(0, 'localhost')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening on a port')
  const host = `localhost:${address.port}`
  return {
    origin: `https://${host}`,
    host,
    pages,
    requests,
    close: async () => {
      server.close()
      server.closeAllConnections()
    },
  }
}
