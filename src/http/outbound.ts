import { lookup } from 'node:dns'
import { BlockList, isIP } from 'node:net'
import { Agent, fetch as undiciFetch } from 'undici'

/** fetch for addresses that came from outside: settings of a connection, metadata of a client, a discovery document. */
export type Outbound = (url: string | URL, init?: RequestInit) => Promise<Response>

const maxBodyBytes = 256 * 1024
const totalTimeoutMs = 5_000

/**
 * Special-use networks (RFC 6890 and its registries): nothing a connection or client names may lie there. One list per
 * family: in a common one, every IPv4 address would also be looked for among the mapped IPv6 ones.
 */
const specialUse = { ipv4: new BlockList(), ipv6: new BlockList() }
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const) {
  specialUse.ipv4.addSubnet(network, prefix, 'ipv4')
}
for (const [network, prefix] of [
  ['::', 96],
  ['::ffff:0:0', 96],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['100::', 64],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
] as const) {
  specialUse.ipv6.addSubnet(network, prefix, 'ipv6')
}

export function isSpecialUse(address: string): boolean {
  const family = ({ 4: 'ipv4', 6: 'ipv6' } as const)[isIP(address)]
  return family === undefined || specialUse[family].check(address, family)
}

/**
 * The only fetch. An answer is read up to 256 KiB after decompression, within 5 s in all, 2 s to connect; redirects are
 * not followed; a name is resolved once, every address it has must be public, and exactly those are connected to, so
 * that a name cannot change its mind in between. `privateHosts` (host:port) are let through, over http too.
 * Rejects with TypeError where fetch would.
 */
export function createOutbound(privateHosts: readonly string[]): Outbound & { close(): Promise<void> } {
  const connect = { timeout: 2_000 }
  const open = new Agent({ connect })
  const guarded = new Agent({ connect: { ...connect, lookup: publicAddressesOnly } })

  const outbound = async (input: string | URL, init: RequestInit = {}) => {
    const url = new URL(input)
    const authority = `${url.hostname}:${url.port || (url.protocol === 'https:' ? 443 : 80)}`
    const isPrivate = privateHosts.includes(authority)
    if (!isPrivate) refuseUnsafe(url)

    const signal = AbortSignal.any([
      AbortSignal.timeout(totalTimeoutMs),
      ...(init.signal ? [init.signal] : []),
    ])
    const options = { ...init, signal, redirect: 'manual', dispatcher: isPrivate ? open : guarded }
    // The types of undici's own fetch and of the global one differ in name only.
    const response = (await undiciFetch(
      url,
      options as Parameters<typeof undiciFetch>[1],
    )) as unknown as Response
    return new Response(capped(response.body), {
      status: response.status,
      statusText: response.statusText,
      headers: response.headers,
    })
  }
  return Object.assign(outbound, {
    close: async () => {
      await Promise.all([open.destroy(), guarded.destroy()])
    },
  })
}

function refuseUnsafe(url: URL): void {
  if (url.protocol !== 'https:')
    throw new TypeError(`outbound request refused: ${url.protocol}// is not https`)
  const literal = url.hostname.replace(/^\[|\]$/g, '')
  // A literal address is never looked up, so it is judged here.
  if (isIP(literal) !== 0 && isSpecialUse(literal))
    throw new TypeError('outbound request refused: special-use address')
}

type LookupCallback = (error: Error | null, addresses: { address: string; family: number }[]) => void

function publicAddressesOnly(hostname: string, options: object, callback: LookupCallback): void {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, [])
    if (addresses.length === 0 || addresses.some(({ address }) => isSpecialUse(address))) {
      return callback(new TypeError('outbound request refused: special-use address'), [])
    }
    callback(null, addresses)
  })
}

function capped(body: ReadableStream<Uint8Array> | null): ReadableStream<Uint8Array> | null {
  let received = 0
  return (
    body?.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          received += chunk.byteLength
          if (received > maxBodyBytes) controller.error(new TypeError('outbound answer is too large'))
          else controller.enqueue(chunk)
        },
      }),
    ) ?? null
  )
}
