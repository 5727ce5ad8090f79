import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser, type Page } from '../support/browser.ts'
import {
  type GivenMember,
  givenClient,
  givenConnection,
  givenIdentity,
  givenMember,
} from '../support/given.ts'
import { changesOf, signInTo, typesOf, visitor } from '../support/linking.ts'
import { begin, relyingParty } from '../support/relying-party.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp({ env: { TRUST_PROXY: '1' }, inProcessStore: true })
})
afterAll(() => server.close())

const credentialsOf = ({ email, password }: GivenMember) => ({ email, password })
const wrong = 'The email address or the password is wrong.'

async function enter(browser: Browser, values: { email: string; password: string }): Promise<Page> {
  return browser.submit(await browser.open(`${server.issuer}/account`), '/sign-in', values)
}

/** A page without what differs from one request to the next. */
const plain = ({ html }: Page, email: string) =>
  html
    .replaceAll(/value="[^"]{40,}"|nonce="[^"]*"|interaction\/[\w-]+|%2Finteraction[^"]*/g, '')
    .replaceAll(email, 'ADDRESS')

describe('a sign-in is refused', () => {
  test('alike for a wrong password, an unknown address and a member without a password', async () => {
    const [member, bare] = [await givenMember(server), await givenMember(server)]
    await server.db.passwordCredential.delete({ where: { memberId: bare.id } })
    const nobody = { email: 'nobody@example.com', password: member.password }
    const attempts = [{ ...member, password: 'copper orchard thimble' }, nobody, bare]
    const pages = await Promise.all(attempts.map((attempt) => enter(visitor(), attempt)))
    expect(pages.map(({ status }) => status)).toEqual([422, 422, 422])
    expect(pages[0]?.html).toContain(wrong)
    const texts = pages.map((page, i) => plain(page, attempts[i]?.email ?? ''))
    expect(new Set(texts).size).toBe(1)
  })

  test.each([
    ['another letter', (text: string) => `${text}x`],
    ['other cases', (text: string) => text.toUpperCase()],
    ['a space after it', (text: string) => `${text} `],
    ['nothing', () => ''],
  ])('for the password with %s', async (_, change) => {
    const member = await givenMember(server)
    const { result, ...changes } = await changesOf(server, () =>
      enter(visitor(), { email: member.email, password: change(member.password) }),
    )
    expect(result.status).toBe(422)
    expect(result.html).not.toContain(member.password)
    expect(changes.rows).toEqual({})
    expect(typesOf({ result, ...changes })).not.toContain('member.signed_in')
  })

  test('for a suspended member, whose open sessions are over too', async () => {
    const member = await givenMember(server)
    const open = await signInTo(server, member)
    await server.db.member.update({ where: { id: member.id }, data: { status: 'suspended' } })
    expect((await open.open(`${server.issuer}/account`)).url.pathname).toMatch(/sign-in$/)
    const { result, ...changes } = await changesOf(server, () => enter(visitor(), member))
    expect(result.status).toBe(403)
    expect(changes.rows).toEqual({})
    expect(typesOf({ result, ...changes })).not.toContain('member.signed_in')
    const unproved = await enter(visitor(), { ...member, password: 'copper orchard thimble' })
    expect(unproved.html).toContain(wrong)
  })

  test('after ten wrong passwords from one place, whichever way the address is written', async () => {
    const member = await givenMember(server)
    const browser = visitor()
    for (let tries = 0; tries < 10; tries += 1) {
      const email = tries % 2 ? member.email : member.email.toUpperCase()
      expect((await enter(browser, { email, password: 'copper orchard thimble' })).status).toBe(422)
    }
    const { result, ...changes } = await changesOf(server, () => enter(browser, member))
    expect(result.status).toBe(429)
    expect(changes).toEqual({ rows: {}, events: [] })
    await signInTo(server, member)
  })

  test('of guesses at once, no more than ten are looked at', async () => {
    const member = await givenMember(server)
    const browser = visitor()
    const form = await browser.open(`${server.issuer}/account`)
    const guesses = Array.from({ length: 25 }, () =>
      browser.submit(form, '/sign-in', { email: member.email, password: 'copper orchard thimble' }),
    )
    const statuses = (await Promise.all(guesses)).map(({ status }) => status)
    expect(statuses.filter((status) => status === 422)).toHaveLength(10)
    expect(statuses.filter((status) => status === 429)).toHaveLength(15)
  })

  test('on a form that another browser was shown', async () => {
    const member = await givenMember(server)
    const form = await visitor().open(`${server.issuer}/account`)
    const { result, ...changes } = await changesOf(server, () =>
      visitor().submit(form, '/sign-in', credentialsOf(member)),
    )
    expect(result.status).toBe(403)
    expect(changes).toEqual({ rows: {}, events: [] })
  })

  test('on the page of an interaction that is over', async () => {
    const member = await givenMember(server)
    const browser = visitor()
    const form = await browser.open(`${server.issuer}/account`)
    await browser.submit(form, '/sign-in', credentialsOf(member))
    const again = await browser.submit(form, '/sign-in', credentialsOf(member))
    expect(again.status).toBe(400)
    expect(again.html).toContain('interaction_over')
  })
})

describe('a fresh proof', () => {
  test('is not given by another member: what was asked for does not happen to either', async () => {
    const [member, other] = [await givenMember(server), await givenMember(server)]
    const connection = await givenConnection(server)
    await givenIdentity(server, { memberId: member.id, connectionId: connection.id })
    const browser = await signInTo(server, member)
    server.advance(601)
    const { result, ...changes } = await changesOf(server, async () => {
      const form = await browser.open(`${server.issuer}/account/connections/${connection.id}/unlink`)
      expect(form.html).toContain('Confirm it is you')
      return browser.submit(form, '/sign-in', { email: other.email, password: other.password })
    })
    expect(result.html).not.toContain(member.name === other.name ? member.id : member.name)
    expect(changes.rows).toEqual({})
    expect(typesOf({ result, ...changes })).not.toContain('identity.unlinked')
  })

  test('keeps the page that asked for it', async () => {
    const member = await givenMember(server)
    const connection = await givenConnection(server)
    await givenIdentity(server, { memberId: member.id, connectionId: connection.id })
    const browser = await signInTo(server, member)
    server.advance(601)
    const path = `/account/connections/${connection.id}/unlink`
    const form = await browser.open(server.issuer + path)
    expect(form.url.pathname).toMatch(/sign-in$/)
    const page = await browser.submit(form, '/sign-in', { password: member.password })
    expect(page.url.pathname).toBe(path)
  })
})

test('a sign-in is recorded with the relying party and the way it was done', async () => {
  const member = await givenMember(server, { email: `Mixed.Case-${Date.now()}@Example.com` })
  const shop = await relyingParty(server, await givenClient(server))
  const browser = visitor()
  const { url } = await begin(shop)
  const changes = await changesOf(server, async () => {
    const form = await browser.open(url)
    return browser.submit(form, '/sign-in', {
      email: ` ${member.email.toUpperCase()}`,
      password: member.password,
    })
  })
  expect(changes.result.url.pathname).toMatch(/consent$/)
  expect(changes.rows).toEqual({})
  const data = { amr: ['pwd'], clientId: shop.id }
  expect(changes.events).toEqual([{ type: 'member.signed_in', memberId: member.id, data }])
})

test('wrong passwords are forgotten with the right one', async () => {
  const member = await givenMember(server)
  const address = '198.18.0.1'
  for (let round = 0; round < 2; round += 1) {
    for (let tries = 0; tries < 9; tries += 1)
      await enter(openBrowser('en', address), { ...member, password: 'copper orchard thimble' })
    expect((await enter(openBrowser('en', address), member)).url.pathname).toBe('/account')
  }
})
