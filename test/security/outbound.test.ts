import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createOutbound } from '../../src/http/outbound.ts'

/** A server on loopback that counts who comes; what it answers is a test's own. */
async function listen(answer: RequestListener) {
  let requests = 0
  const server = createServer((request, response) => {
    requests += 1
    answer(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (!address || typeof address === 'string') throw new Error('not listening on a port')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return { port: address.port, host: `127.0.0.1:${address.port}`, requests: () => requests }
}

function outbound(...privateHosts: string[]) {
  const fetch = createOutbound(privateHosts)
  onTestFinished(() => fetch.close())
  return fetch
}

describe('an address inside', () => {
  let inside: ReturnType<typeof createServer>
  let port = 0
  let visits = 0
  beforeAll(async () => {
    inside = createServer((_, response) => response.end('secret')).on('connection', () => {
      visits += 1
    })
    inside.listen(0)
    await once(inside, 'listening')
    const address = inside.address()
    port = typeof address === 'object' ? (address?.port ?? 0) : 0
  })
  afterAll(() => {
    inside.close()
  })

  test.each([
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f000001',
    '0177.0.0.1',
    '0.0.0.0',
    '0',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[64:ff9b::7f00:1]',
    '127.0.0.1.',
    '１２７.0.0.1',
    'localhost',
    'LOCALHOST.',
  ])('is not reached as https://%s', async (name) => {
    const refused = outbound()(`https://${name}:${port}/`)
    await expect(refused).rejects.toThrow(TypeError)
    expect(visits).toBe(0)
  })

  test.each([
    '10.0.0.1',
    '169.254.169.254',
    '192.168.0.1',
    '[fd00::1]',
    '[fe80::1]',
    '[::ffff:169.254.169.254]',
  ])('is not even tried as https://%s', async (name) => {
    await expect(outbound()(`https://${name}/`)).rejects.toThrow(/special-use/)
  })

  test('is not reached by name either: every address a name has is looked at', async () => {
    await expect(outbound()(`https://localhost:${port}/`)).rejects.toThrow(
      expect.objectContaining({
        cause: expect.objectContaining({ message: expect.stringContaining('special-use') }),
      }),
    )
  })

  test('is not reached on another port than the one let through', async () => {
    await expect(outbound('127.0.0.1:1', 'localhost:1')(`https://127.0.0.1:${port}/`)).rejects.toThrow(
      /special-use/,
    )
    expect(visits).toBe(0)
  })
})

test.each([
  'http://example.com/',
  'ftp://example.com/',
  'file:///etc/passwd',
  'data:text/plain,secret',
  'blob:https://example.com/x',
  'gopher://example.com/',
])('%s is refused: only https leaves the house', async (url) => {
  await expect(outbound()(url)).rejects.toThrow(/not https/)
})

test('a host that is let through is reached over http, under exactly the name it was let through', async () => {
  const { port, host } = await listen((_, response) => response.end('here'))
  expect(await (await outbound(host)(`http://${host}/`)).text()).toBe('here')
  await expect(outbound(host)(`http://localhost:${port}/`)).rejects.toThrow(/not https/)
})

test('a redirect is an answer, and not followed', async () => {
  const target = await listen((_, response) => response.end('secret'))
  const source = await listen((_, response) =>
    response.writeHead(302, { location: `http://${target.host}/` }).end(),
  )
  const response = await outbound(source.host, target.host)(`http://${source.host}/`)
  expect([response.status, target.requests()]).toEqual([302, 0])
})

describe('an answer', () => {
  test('of 300 KB is not read to its end', async () => {
    const { host } = await listen((_, response) => response.end('a'.repeat(300 * 1024)))
    const response = await outbound(host)(`http://${host}/`)
    await expect(response.text()).rejects.toThrow(/too large/)
  })

  test('that becomes 300 KB once unpacked is not read to its end', async () => {
    const packed = gzipSync('a'.repeat(300 * 1024))
    const { host } = await listen((_, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(packed),
    )
    const response = await outbound(host)(`http://${host}/`)
    await expect(response.json()).rejects.toThrow(/too large/)
  })

  test('of 256 KB is read', async () => {
    const { host } = await listen((_, response) => response.end('a'.repeat(256 * 1024)))
    expect((await (await outbound(host)(`http://${host}/`)).text()).length).toBe(256 * 1024)
  })

  test('whose headers never come is given up', { timeout: 15_000 }, async () => {
    const { host } = await listen(() => {})
    await expect(outbound(host)(`http://${host}/`)).rejects.toThrow(
      expect.objectContaining({ name: 'TimeoutError' }),
    )
  })

  test('that drips is given up as well: the time is for all of it', { timeout: 15_000 }, async () => {
    const { host } = await listen((_, response) => {
      const drip = setInterval(() => response.write('.'), 200)
      response.on('close', () => clearInterval(drip))
    })
    const response = await outbound(host)(`http://${host}/`)
    await expect(response.text()).rejects.toThrow(expect.objectContaining({ name: 'TimeoutError' }))
  })
})

test('a caller may give up earlier', async () => {
  const { host } = await listen(() => {})
  const signal = AbortSignal.abort(new Error('given up'))
  await expect(outbound(host)(`http://${host}/`, { signal })).rejects.toThrow('given up')
})
