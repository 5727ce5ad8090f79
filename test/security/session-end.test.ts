import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { endSessions, isSessionEnded } from '../../src/members/member.ts'
import { inTransaction } from '../../src/store/db.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser } from '../support/browser.ts'
import { type GivenMember, givenMember } from '../support/given.ts'
import { signInTo } from '../support/linking.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
})
afterAll(() => server.close())

describe('sessions count in whole seconds, and yet', () => {
  const end = (member: GivenMember, now = server.now()) =>
    inTransaction(server.db, (tx) => endSessions(tx, member.id, 'member', now))
  const account = async (browser: Browser) => (await browser.open(`${server.issuer}/account`)).url.pathname

  test('one that began in the very second in which sessions were ended has ended', async () => {
    const member = await givenMember(server)
    const browser = await signInTo(server, member, openBrowser())
    await end(member)
    expect(await account(browser)).toMatch(/\/sign-in$/)
  })

  test('one that begins right after is not thrown out, however soon and however often', async () => {
    const member = await givenMember(server)
    for (let time = 0; time < 3; time += 1) {
      await end(member)
      const browser = await signInTo(server, member, openBrowser())
      expect(await account(browser)).toBe('/account')
    }
  })

  test('one that began while what ends sessions was waiting for its turn has ended', async () => {
    const member = await givenMember(server)
    const asked = server.now()
    server.advance(5)
    const browser = await signInTo(server, member, openBrowser())
    await end(member, asked)
    expect(await account(browser)).toMatch(/\/sign-in$/)
  })

  test('a proof that was given before begins no session after', async () => {
    const member = await givenMember(server)
    const browser = openBrowser()
    const page = await browser.open(`${server.issuer}/account`)
    const fields = [...page.html.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g)]
    const { email, password } = member
    const body = new URLSearchParams({
      ...Object.fromEntries(fields.map(([, name = '', value = '']) => [name, value])),
      email,
      password,
    })
    const headers = { origin: server.issuer, 'sec-fetch-site': 'same-origin' }
    const proved = await browser.request(page.url, { method: 'POST', body, headers })
    expect(proved.headers.get('location')).toBe(page.url.pathname.replace(/\/sign-in$/, ''))
    await end(member)
    const next = await browser.open(new URL(proved.headers.get('location') ?? '', server.issuer))
    expect(next.url.pathname).toMatch(/\/sign-in$/)
    expect(await account(browser)).toMatch(/\/sign-in$/)
    const sessions = { type: 'member.signed_in', memberId: member.id }
    expect(await server.db.event.count({ where: sessions })).toBe(0)
  })

  test('the moment from which sessions count is a whole second after the end', async () => {
    const member = await givenMember(server)
    const now = server.now()
    await end(member, now)
    const row = await server.db.member.findUniqueOrThrow({ where: { id: member.id } })
    expect(row.sessionsValidFrom.getMilliseconds()).toBe(0)
    expect(isSessionEnded(row, new Date(Math.floor(now.getTime() / 1000) * 1000))).toBe(true)
    expect(row.sessionsValidFrom.getTime() - now.getTime()).toBeLessThanOrEqual(2000)
  })
})
