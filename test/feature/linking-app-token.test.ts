import { afterAll, beforeAll, expect, test } from 'vitest'
import type { LineSimulator } from '../../src/demo/line/server.ts'
import { givenClient, givenMember } from '../support/given.ts'
import { acceptInvitation, callApi } from '../support/link-api.ts'
import { changesOf, visitor } from '../support/linking.ts'
import { send } from '../support/post.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenLine, givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let line: LineSimulator
let upstream: UpstreamProvider
beforeAll(async () => {
  server = await startLinkingApp()
  line = await givenLine(server)
  upstream = await givenUpstream(server, { id: 'store', settings: { audiences: ['store-native'] } })
  const connections = ['line', 'store']
  const redirectUris = ['https://liff.example.com/linked']
  await givenClient(server, { id: 'liff', profile: 'spa', redirectUris, connections })
  await givenClient(server, {
    id: 'app',
    profile: 'native',
    redirectUris: ['com.example.app:/linked'],
    connections,
  })
})
afterAll(async () => {
  await Promise.all([server.close(), line.close(), upstream.close()])
})

test('a LIFF application links the LINE account it is open in, and learns how it ended', async () => {
  const origin = 'https://liff.example.com'
  const body = { client_id: 'liff', connection: 'line', return_to: `${origin}/linked`, state: 'tab=1' }
  const opened = await callApi(server, '/link-sessions', body, { headers: { origin } })
  expect(opened.headers['access-control-allow-origin']).toBe(origin)
  expect(opened.headers).not.toHaveProperty('access-control-allow-credentials')
  const { idToken } = await line.control.mintLiffTokens('person-a', '1234567890-liffAppA')
  const presented = { link_session: opened.json.link_session, id_token: idToken }
  const { json, headers } = await callApi(server, '/link-sessions/token', presented, { headers: { origin } })
  expect(headers['access-control-allow-origin']).toBe(origin)

  const member = await givenMember(server)
  const browser = visitor()
  browser.stopAt(origin)
  const { result, rows, events } = await changesOf(server, async () =>
    browser.submit(await acceptInvitation(browser, String(json.url), member), '/agree'),
  )
  expect(result.url.href).toBe(`${origin}/linked?link_result=linked&state=tab%3D1`)
  expect(rows).toMatchObject({ FederatedIdentity: '+1', LinkConsent: '+1' })
  expect(events.at(-1)).toMatchObject({
    type: 'identity.linked',
    memberId: member.id,
    data: { connectionId: 'line', way: 'app_token', clientId: 'liff' },
  })
})

test('a native application whose SDK carries a nonce puts the session’s in, and is opened again by its own address', async () => {
  const body = { client_id: 'app', connection: 'store', return_to: 'com.example.app:/linked' }
  const { json: session } = await callApi(server, '/link-sessions', body)
  const idToken = await upstream.mintIdToken({ aud: 'store-native', nonce: session.nonce })
  const presented = { link_session: session.link_session, id_token: idToken, nonce: session.nonce }
  const { json } = await callApi(server, '/link-sessions/token', presented)
  const browser = visitor()
  browser.stopAt('com.example.app:')
  const page = await acceptInvitation(browser, String(json.url), await givenMember(server))
  expect((await browser.submit(page, '/agree')).url.href).toBe('com.example.app:/linked?link_result=linked')
})

test('a browser is told beforehand that it may ask, and never with cookies', async () => {
  const { status, headers } = await send(`${server.issuer}/api/link-sessions`, {
    method: 'OPTIONS',
    headers: { origin: 'https://liff.example.com', 'access-control-request-method': 'POST' },
  })
  expect(status).toBe(204)
  expect(headers).toMatchObject({
    'access-control-allow-origin': 'https://liff.example.com',
    'access-control-allow-methods': 'POST',
  })
  expect(headers).not.toHaveProperty('access-control-allow-credentials')
})
