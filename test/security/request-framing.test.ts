import { once } from 'node:events'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { send } from '../support/post.ts'

let server: TestApp
let host: string
beforeAll(async () => {
  server = await startTestApp()
  host = new URL(server.issuer).host
})
afterAll(() => server.close())

/** Sends these lines as they are and reads until the server has closed. */
async function raw(...lines: string[]): Promise<{ status: number; answers: number; text: string }> {
  const socket = connect(Number(new URL(server.issuer).port), 'localhost')
  await once(socket, 'connect')
  socket.write(`${lines.join('\r\n')}\r\n\r\n`)
  const answer = await text(socket)
  const statuses = [...answer.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status))
  return { status: statuses[0] ?? 0, answers: statuses.length, text: answer }
}

const close = 'Connection: close'

test('an ordinary request is answered', async () => {
  expect((await raw('GET / HTTP/1.1', `Host: ${host}`, close)).status).toBe(200)
})

describe('a request that was meant for another host is misdirected', () => {
  test.each([
    'evil.example',
    'localhost',
    'localhost:1',
    'evil.example:x@localhost',
    'localhost.',
    '127.0.0.1',
    '',
  ])('Host: %s', async (other) => {
    expect((await raw('GET / HTTP/1.1', `Host: ${other}`, 'Accept: text/html', close)).status).toBe(421)
  })

  test('and is told so with a page, or a document', async () => {
    const page = await send(server.issuer, {
      headers: { host: 'evil.example', accept: 'text/html', 'accept-language': 'en' },
    })
    expect([page.status, page.headers['content-type']]).toEqual([421, 'text/html; charset=utf-8'])
    const document = await send(server.issuer, {
      headers: { host: 'evil.example', accept: 'application/json' },
    })
    expect(document.json).toMatchObject({ status: 421, code: 'misdirected_request' })
  })

  test('however else it names the other host', async () => {
    for (const name of ['X-Forwarded-Host', 'Forwarded', 'X-Host', 'X-Original-URL', 'X-Forwarded-Proto']) {
      const value = name === 'Forwarded' ? 'host=evil.example;proto=https' : 'evil.example'
      const answer = await send(`${server.issuer}/.well-known/openid-configuration`, {
        headers: { [name]: value },
      })
      expect([name, answer.json.issuer, answer.text.includes('evil')]).toEqual([name, server.issuer, false])
    }
  })
})

describe('a request that two servers could read in two ways is refused', () => {
  test.each([
    ['two Host headers', ['GET / HTTP/1.1', () => `Host: ${host}`, 'Host: evil.example']],
    ['two Host headers, ours last', ['GET / HTTP/1.1', 'Host: evil.example', () => `Host: ${host}`]],
    ['the same Host twice', ['GET / HTTP/1.1', () => `Host: ${host}`, () => `Host: ${host}`]],
    ['no Host', ['GET / HTTP/1.1']],
    ['a target with another host', ['GET http://evil.example/ HTTP/1.1', () => `Host: ${host}`]],
    ['a target with our own host', [() => `GET http://${host}/ HTTP/1.1`, () => `Host: ${host}`]],
    ['a target that is no path', ['OPTIONS * HTTP/1.1', () => `Host: ${host}`]],
    [
      'a length and chunks',
      [
        'POST /locale HTTP/1.1',
        () => `Host: ${host}`,
        'Content-Length: 4',
        'Transfer-Encoding: chunked',
        '',
        '0',
      ],
    ],
    [
      'two lengths',
      ['POST /locale HTTP/1.1', () => `Host: ${host}`, 'Content-Length: 4', 'Content-Length: 5'],
    ],
    ['an unknown coding', ['POST /locale HTTP/1.1', () => `Host: ${host}`, 'Transfer-Encoding: xchunked']],
    [
      'a coding before chunks',
      ['POST /locale HTTP/1.1', () => `Host: ${host}`, 'Transfer-Encoding: gzip, chunked', '', '0'],
    ],
    ['a blank before the colon', ['GET / HTTP/1.1', () => `Host : ${host}`]],
    ['a folded header', ['GET / HTTP/1.1', () => `Host: ${host}`, 'X-One: a', ' b']],
    ['a header of 20 KB', ['GET / HTTP/1.1', () => `Host: ${host}`, `X-Long: ${'a'.repeat(20_000)}`]],
  ] as [string, (string | (() => string))[]][])('%s', async (_, lines) => {
    const [target = '', ...rest] = lines.map((line) => (typeof line === 'string' ? line : line()))
    const { status, answers } = await raw(target, close, ...rest)
    expect([400, 421, 431]).toContain(status)
    expect(answers).toBe(1)
  })
})

describe('the path', () => {
  test.each([
    '//evil.example/account',
    '/account;x',
    '/account%2f..%2fadmin',
    '/account/.',
    '/account//profile',
    '/%61ccount',
  ])('%s is another one than that of the page it resembles', async (path) => {
    const { status, text: answer } = await raw(
      `GET ${path} HTTP/1.1`,
      `Host: ${host}`,
      'Accept: text/html',
      close,
    )
    expect(status).toBe(404)
    expect(answer).not.toMatch(/^location:.*evil/im)
  })
})
