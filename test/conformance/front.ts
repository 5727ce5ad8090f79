import { type IncomingMessage, request as openRequest, type ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream'
import type { TLSSocket } from 'node:tls'

export interface FrontOptions {
  host: string
  port: number
  certificate: string
  key: string
  /** Where a client's certificate is passed on (RFC 9440). */
  certificateHeader: string
}

/** What a POST to a path of the front does, which is none of the server's. Its answer is sent as JSON. */
export type Hook = () => Promise<unknown>

export interface Front {
  port: number
  /** Begins to pass requests on to this port of this machine, but for the hooks' paths. */
  forward(port: number, hooks: Record<string, Hook>): void
  close(): Promise<void>
}

/** FAPI 2.0 Security Profile section 5.2.2 takes the suites that BCP 195 recommends for TLS 1.2 alone. */
const ciphers = [
  ...['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'],
  ...['ECDHE-RSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES256-GCM-SHA384'],
].join(':')

/** Of one connection and its own: the server's, and what the front alone may say. */
const ownHeaders = ['connection', 'keep-alive', 'proxy-connection', 'expect', 'upgrade']
const forwarded = ['forwarded', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host']

/**
 * The proxy that ends TLS in front of the server, as a deployment has one: it asks for a client's certificate, whoever
 * issued it, and nobody but it says which one was shown.
 */
export async function openFront(options: FrontOptions): Promise<Front> {
  const { host, port, certificate: cert, key, certificateHeader } = options
  let target = 0
  let hooks: Record<string, Hook> = {}
  const server = createServer({
    ...{ cert, key, ciphers, minVersion: 'TLSv1.2' },
    ...{ requestCert: true, rejectUnauthorized: false },
  })
  const sources = new WeakMap<object, string>()
  let connections = 0
  server.on('secureConnection', (socket) => sources.set(socket, sourceAddress(connections++)))
  server.on('request', (request, response) => {
    const hook = request.method === 'POST' ? hooks[request.url ?? ''] : undefined
    if (hook) return void answerHook(hook, response)
    const source = sources.get(request.socket) ?? sourceAddress(0)
    const headers = onwardHeaders(request, certificateHeader, source)
    return passOn(request, response, target, headers)
  })
  await listen(server, port, host)
  return {
    port: (server.address() as AddressInfo).port,
    forward(to, those) {
      target = to
      hooks = those
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

/**
 * Where a connection says it comes from. The suite signs in from one address as often as a hundred people would not:
 * each of its connections is a source of its own (RFC 2544 keeps this network for tests), so that no limit ends a run.
 */
const sourceAddress = (n: number) => `198.18.${(n >> 8) & 255}.${n & 255}`

/** Flat, as they came and in their order: the server judges a second Host itself. */
function onwardHeaders(request: IncomingMessage, certificateHeader: string, source: string): string[] {
  const dropped = [...ownHeaders, ...forwarded, certificateHeader.toLowerCase()]
  const certificate = (request.socket as TLSSocket).getPeerX509Certificate()
  return [
    ...without(request.rawHeaders, dropped),
    ...['X-Forwarded-For', source, 'X-Forwarded-Proto', 'https'],
    ...(certificate ? [certificateHeader, `:${certificate.raw.toString('base64')}:`] : []),
  ]
}

function without(rawHeaders: readonly string[], names: readonly string[]): string[] {
  return rawHeaders.filter((_, i) => !names.includes(rawHeaders[i - (i % 2)]?.toLowerCase() ?? ''))
}

function passOn(request: IncomingMessage, response: ServerResponse, port: number, headers: string[]): void {
  const { method, url: path } = request
  const onward = openRequest({ host: '127.0.0.1', port, method, path, headers, agent: false }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, without(answer.rawHeaders, ownHeaders))
    pipeline(answer, response, () => {})
  })
  onward.on('error', () => (response.headersSent ? response.destroy() : response.writeHead(502).end()))
  pipeline(request, onward, () => {})
}

async function answerHook(hook: Hook, response: ServerResponse): Promise<void> {
  try {
    const text = JSON.stringify(await hook())
    response.writeHead(200, { 'content-type': 'application/json' }).end(`${text}\n`)
  } catch (error) {
    response.writeHead(500, { 'content-type': 'text/plain' }).end(`${String(error)}\n`)
  }
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => resolve())
  })
}
