import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { send } from '../support/post.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
})
afterAll(() => server.close())

const ask = (path: string, headers: object = {}, method = 'GET') =>
  send(server.issuer + path, { method, headers })

describe('a page that does not exist', () => {
  test.each([
    ['en', 'Page not found'],
    ['ja', 'ページが見つかりません'],
  ])('is told as a page in the reader’s language (%s)', async (language, title) => {
    const { status, headers, text } = await ask('/nowhere', {
      accept: 'text/html',
      'accept-language': language,
    })
    expect({ status, type: headers['content-type'] }).toEqual({
      status: 404,
      type: 'text/html; charset=utf-8',
    })
    expect(text).toContain(`<html lang="${language}">`)
    expect(text).toContain(title)
    expect(text).toContain('not_found')
    expect(text).toContain(String(headers['x-request-id']))
  })

  test.each([
    ['en', 'Page not found'],
    ['ja', 'ページが見つかりません'],
  ])('is told to programs as RFC 9457 has it (%s)', async (language, title) => {
    const { status, headers, json } = await ask('/nowhere', {
      accept: 'application/json',
      'accept-language': language,
    })
    expect(headers['content-type']).toBe('application/problem+json')
    expect(json).toEqual({
      type: 'about:blank',
      title,
      status,
      detail: expect.any(String),
      code: 'not_found',
      requestId: headers['x-request-id'],
    })
  })

  test('is told as a document to whoever takes neither', async () => {
    const { status, headers } = await ask('/nowhere', { accept: 'image/png' })
    expect([status, headers['content-type']]).toEqual([404, 'application/problem+json'])
  })
})

describe('a method that an address does not have', () => {
  test.each([
    ['DELETE', '/account/profile', 'GET, HEAD, POST'],
    ['PUT', '/interaction/abc/sign-in', 'GET, HEAD, POST'],
    ['GET', '/locale', 'POST'],
    ['GET', '/account/sign-out', 'POST'],
    ['POST', '/', 'GET, HEAD'],
    ['PROPFIND', '/account', 'GET, HEAD'],
  ])('%s %s is refused and told which there are', async (method, path, allowed) => {
    const { status, headers, json } = await ask(path, { accept: 'application/json' }, method)
    expect({ status, code: json.code }).toEqual({ status: 405, code: 'method_not_allowed' })
    expect(String(headers.allow).split(', ').sort().join(', ')).toBe(allowed)
  })
})

test('what the reader chose is the language of faults as well', async () => {
  const browser = openBrowser('en')
  const home = await browser.open(server.issuer)
  const chosen = await browser.submit(home, '/locale')
  expect(chosen.html).toContain('<html lang="ja">')
  const fault = await browser.open(`${server.issuer}/nowhere`)
  expect(fault.html).toContain('ページが見つかりません')
})

test('a path that no decoder reads is a fault of the request', async () => {
  for (const path of ['/%', '/interaction/%E0%A4%A', '/link/%ff', '/connections/%/callback']) {
    const { status } = await ask(path, { accept: 'text/html' })
    expect([path, status >= 400 && status < 500]).toEqual([path, true])
  }
})

test('the answer to HEAD is that to GET without its body', async () => {
  const { status, headers, text } = await ask('/nowhere', { accept: 'text/html' }, 'HEAD')
  expect({ status, type: headers['content-type'], text }).toEqual({
    status: 404,
    type: 'text/html; charset=utf-8',
    text: '',
  })
})

test('each refusal is logged once, by its code and the request’s id, without the query', async () => {
  const { headers } = await ask('/nowhere?canary=in-the-query', { accept: 'text/html' })
  const lines = server
    .logged()
    .split('\n')
    .filter((line) => line.includes(String(headers['x-request-id'])))
    .map((line) => JSON.parse(line))
  expect(lines.map(({ msg }) => msg)).toEqual(['request refused', 'request'])
  expect(lines).toEqual([
    expect.objectContaining({ level: 'info', problem: 'not_found' }),
    expect.objectContaining({ method: 'GET', path: '/nowhere', status: 404 }),
  ])
  expect(server.logged()).not.toContain('in-the-query')
})
