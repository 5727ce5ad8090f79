import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createConnection, disableConnection } from '../../src/connections/connection.ts'
import { inTransaction } from '../../src/store/db.ts'
import { givenConnection, givenIdentity, givenMember } from '../support/given.ts'
import { catchCallback, changesOf, pressLink, signInTo, visitor } from '../support/linking.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let id: string
let upstream: UpstreamProvider
const upstreams: UpstreamProvider[] = []
beforeAll(async () => {
  server = await startLinkingApp()
})
afterAll(async () => {
  await Promise.all([server.close(), ...upstreams.map((one) => one.close())])
})

let count = 0
beforeEach(async () => {
  id = `upstream-${++count}`
  upstream = await givenUpstream(server, { id, name: { ja: `外部${count}`, en: `Upstream ${count}` } })
  upstreams.push(upstream)
})

const disable = () => inTransaction(server.db, (tx) => disableConnection(tx, id, server.now()))
const nothing = { rows: {}, events: [] }

test('disabling a connection is recorded once', async () => {
  const { result, ...changes } = await changesOf(server, async () => [await disable(), await disable()])
  expect(result).toEqual([true, false])
  expect(changes.events).toEqual([
    { type: 'connection.disabled', memberId: null, data: { connectionId: id } },
  ])
})

describe('through a disabled connection', () => {
  test('nobody begins to link', async () => {
    const browser = await signInTo(server, await givenMember(server))
    const account = await browser.open(`${server.issuer}/account`)
    await disable()
    const { result, ...changes } = await changesOf(server, () =>
      browser.submit(account, `/connections/${id}/link`),
    )
    expect(result.status).toBe(404)
    expect(changes).toEqual(nothing)
    expect((await browser.open(`${server.issuer}/account`)).html).not.toContain(`/connections/${id}/`)
  })

  test('nobody begins to sign in', async () => {
    const browser = visitor()
    const form = await browser.open(`${server.issuer}/account`)
    await disable()
    const { result, ...changes } = await changesOf(server, () => browser.submit(form, `/connections/${id}`))
    expect(result.status).toBe(404)
    expect(changes).toEqual(nothing)
    expect((await browser.open(`${server.issuer}/account`)).html).not.toContain(`/connections/${id}"`)
  })

  test('a callback already under way links nothing, and its code goes nowhere', async () => {
    const browser = await signInTo(server, await givenMember(server))
    const callback = await catchCallback(server, browser, id)
    await disable()
    const { result, rows } = await changesOf(server, () => browser.open(callback))
    expect(result.url.pathname).toBe('/account')
    expect(rows).toEqual({})
    expect(upstream.requests).not.toContain('/token')
  })

  test('a callback already under way signs nobody in', async () => {
    const member = await givenMember(server)
    await givenIdentity(server, { memberId: member.id, connectionId: id, subject: 'member-1' })
    const browser = visitor()
    const callback = await catchCallback(server, browser, id, async () =>
      browser.submit(await browser.open(`${server.issuer}/account`), `/connections/${id}`),
    )
    await disable()
    const { result, rows } = await changesOf(server, () => browser.open(callback))
    expect(result.url.pathname).toMatch(/sign-in$/)
    expect(rows).toEqual({})
    const { email, password } = member
    expect((await browser.submit(result, '/sign-in', { email, password })).url.pathname).toBe('/account')
  })

  test('an account proved just before is forgotten, and its visitor may go another way', async () => {
    const member = await givenMember(server)
    const browser = visitor()
    const form = await browser.open(`${server.issuer}/account`)
    const signUp = await browser.submit(form, `/connections/${id}`)
    expect(signUp.html).toContain(`Upstream ${count}`)
    await disable()
    const { result, ...changes } = await changesOf(server, () =>
      browser.submit(signUp, '/sign-up', { name: 'Hana', email: 'hana@example.com' }),
    )
    expect(result.status).toBe(422)
    expect(result.html).toContain('name="password"')
    expect(changes).toEqual(nothing)
    const signIn = await browser.open(new URL('sign-in', result.url))
    const { email, password } = member
    const account = await browser.submit(signIn, '/sign-in', { email, password })
    expect(account.url.pathname).toBe('/account')
    expect(await server.db.federatedIdentity.count({ where: { memberId: member.id } })).toBe(0)
  })

  test('an agreement to a page that is open links nothing', async () => {
    const browser = await signInTo(server, await givenMember(server))
    const page = await pressLink(server, browser, id)
    await disable()
    const { result, ...changes } = await changesOf(server, () => browser.submit(page, '/agree'))
    expect(result.status).toBe(404)
    expect(changes).toEqual(nothing)
  })

  test('a linked account is no way to sign in that could be left as the only one', async () => {
    const member = await givenMember(server)
    const other = await givenConnection(server)
    await givenIdentity(server, { memberId: member.id, connectionId: id })
    await givenIdentity(server, { memberId: member.id, connectionId: other.id })
    const browser = await signInTo(server, member)
    await server.db.passwordCredential.delete({ where: { memberId: member.id } })
    const page = await browser.open(`${server.issuer}/account/connections/${other.id}/unlink`)
    await disable()
    const { result, ...changes } = await changesOf(server, () => browser.submit(page, '/unlink'))
    expect(result.status).toBe(409)
    expect(changes).toEqual(nothing)
  })

  test('what is linked stays linked, is shown, and can be unlinked', async () => {
    const member = await givenMember(server)
    await givenIdentity(server, { memberId: member.id, connectionId: id })
    const browser = await signInTo(server, member)
    await disable()
    const account = await browser.open(`${server.issuer}/account`)
    expect(account.html).toContain(`Upstream ${count}`)
    const page = await browser.open(`${server.issuer}/account/connections/${id}/unlink`)
    const { rows } = await changesOf(server, () => browser.submit(page, '/unlink'))
    expect(rows).toMatchObject({ FederatedIdentity: '-1', LinkConsent: '~1' })
  })
})

test('a connection that does not exist is a page that does not exist', async () => {
  const browser = await signInTo(server, await givenMember(server))
  for (const path of ['/account/connections/nobody/unlink', '/connections/nobody/callback?code=c&state=s'])
    expect((await browser.open(server.issuer + path)).status).toBe(404)
})

test('the id of a connection is given once, and its secret is stored sealed', async () => {
  const secret = 'a secret nobody may read'
  await givenConnection(server, { id: 'taken', clientSecret: secret })
  await expect(givenConnection(server, { id: 'taken' })).rejects.toThrow()
  const row = await server.db.connection.findUniqueOrThrow({ where: { id: 'taken' } })
  expect(JSON.stringify(row)).not.toContain(secret)
  expect(server.sealer.open(row.sealedSecret, 'connection secret taken')).toBe(secret)
})

test('settings that are not those of a connection are refused and leave nothing behind', async () => {
  const settings = { scope: 'profile' }
  await expect(
    inTransaction(server.db, (tx) =>
      createConnection(
        tx,
        server.sealer,
        {
          id: 'no-openid',
          kind: 'oidc',
          name: { ja: '外部', en: 'Upstream' },
          issuer: 'https://upstream.example.com',
          clientId: 'hitotsu',
          clientSecret: 'a secret of one test',
          settings,
        },
        server.now(),
      ),
    ),
  ).rejects.toThrow('must contain openid')
  expect(await server.db.connection.findUnique({ where: { id: 'no-openid' } })).toBeNull()
})
