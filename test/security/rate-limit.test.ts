import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser, type Page } from '../support/browser.ts'
import { type GivenMember, givenMember } from '../support/given.ts'
import { send } from '../support/post.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp({ env: { TRUST_PROXY: '1' } })
})
afterAll(() => server.close())

async function guess(
  browser: Browser,
  { email }: Pick<GivenMember, 'email'>,
  password = 'wrong',
  at = server,
): Promise<Page> {
  const form = await browser.open(`${at.issuer}/account`)
  return browser.submit(form, '/sign-in', { email, password })
}

async function guessTenTimes(
  address: string,
  member: Pick<GivenMember, 'email'>,
  at = server,
): Promise<void> {
  const browser = openBrowser('en', address)
  const form = await browser.open(`${at.issuer}/account`)
  for (let i = 0; i < 10; i += 1) {
    const { status } = await browser.submit(form, '/sign-in', { email: member.email, password: 'wrong' })
    expect(status).toBe(422)
  }
}

describe('guessing a password', () => {
  test.each([
    ['en', 'Too many'],
    ['ja', '回数'],
  ])('ends after ten tries from one source, with a page that says when to go on (%s)', async (language) => {
    const member = await givenMember(server)
    const address = `203.0.113.${language.length + language.charCodeAt(0)}`
    await guessTenTimes(address, member)
    const refused = await guess(openBrowser(language, address), member)
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(900)
    expect(refused.html).toContain(`<html lang="${language}">`)
    expect(refused.html).toContain('too_many_requests')
  })

  test('is refused then even with the right one, so that a guess cannot be told from another', async () => {
    const member = await givenMember(server)
    await guessTenTimes('203.0.113.10', member)
    expect((await guess(openBrowser('en', '203.0.113.10'), member, member.password)).status).toBe(429)
  })

  test('does not keep the member out, who comes from somewhere else', async () => {
    const member = await givenMember(server)
    await guessTenTimes('203.0.113.20', member)
    const page = await guess(openBrowser('en', '203.0.113.21'), member, member.password)
    expect([page.status, page.url.pathname]).toEqual([200, '/account'])
  })

  test('of somebody else is another matter', async () => {
    const [one, other] = [await givenMember(server), await givenMember(server)]
    await guessTenTimes('203.0.113.30', one)
    expect((await guess(openBrowser('en', '203.0.113.30'), other, other.password)).url.pathname).toBe(
      '/account',
    )
  })

  test('starts anew after a success', async () => {
    const member = await givenMember(server)
    const browser = openBrowser('en', '203.0.113.40')
    for (let i = 0; i < 9; i += 1) await guess(browser, member)
    expect((await guess(openBrowser('en', '203.0.113.40'), member, member.password)).url.pathname).toBe(
      '/account',
    )
    await guessTenTimes('203.0.113.40', member)
  })

  test('ends for an address nobody has as it does for a member’s', async () => {
    const nobody = { email: 'nobody@example.com' }
    await guessTenTimes('203.0.113.50', nobody)
    expect((await guess(openBrowser('en', '203.0.113.50'), nobody)).status).toBe(429)
  })

  test('with other letters, blanks or a spelling of the address is the same guessing', async () => {
    const member = await givenMember(server, { email: 'Limits@example.com' })
    const browser = openBrowser('en', '203.0.113.60')
    const form = await browser.open(`${server.issuer}/account`)
    const spellings = [
      'limits@example.com',
      'LIMITS@EXAMPLE.COM',
      ' Limits@example.com ',
      'Limits@ＥＸＡＭＰＬＥ.com',
      'lImits@example.com',
    ]
    for (const email of [...spellings, ...spellings])
      await browser.submit(form, '/sign-in', { email, password: 'wrong' })
    expect((await guess(browser, member, member.password)).status).toBe(429)
  })

  test('from other addresses of one IPv6 network is from one source', async () => {
    const member = await givenMember(server)
    for (let i = 1; i <= 10; i += 1)
      expect((await guess(openBrowser('en', `2001:db8:1:2::${i}`), member)).status).toBe(422)
    expect((await guess(openBrowser('en', '2001:db8:1:2:ffff::1'), member)).status).toBe(429)
    expect((await guess(openBrowser('en', '2001:db8:1:3::1'), member)).status).toBe(422)
  })

  test('at the same time is counted as one after the other', async () => {
    const member = await givenMember(server)
    const browser = openBrowser('en', '203.0.113.70')
    const form = await browser.open(`${server.issuer}/account`)
    const pages = await Promise.all(
      Array.from({ length: 30 }, () =>
        browser.submit(form, '/sign-in', { email: member.email, password: 'wrong' }),
      ),
    )
    expect(pages.filter(({ status }) => status === 422)).toHaveLength(10)
    expect(pages.filter(({ status }) => status === 429)).toHaveLength(20)
  })

  test('on another process is counted with the rest', async () => {
    const member = await givenMember(server)
    await guessTenTimes('203.0.113.80', member)
    const peer = await server.startPeer()
    const browser = openBrowser('en', '203.0.113.80')
    const form = await browser.open(`${server.issuer}/account`)
    const token = /name="_csrf" value="([^"]+)"/.exec(form.html)?.[1] ?? ''
    const cookie = [...browser.cookies()].map(([name, value]) => `${name}=${value}`).join('; ')
    const { status } = await send(peer.origin + form.url.pathname, {
      method: 'POST',
      headers: {
        host: new URL(server.issuer).host,
        cookie,
        'x-forwarded-for': '203.0.113.80',
        'content-type': 'application/x-www-form-urlencoded',
      },
      body: new URLSearchParams({ _csrf: token, email: member.email, password: 'wrong' }).toString(),
    })
    await peer.close()
    expect(status).toBe(429)
  })
})

describe('the source of a request', () => {
  test('is not what a stranger writes in front of what our proxy says', async () => {
    const member = await givenMember(server)
    await guessTenTimes('203.0.113.90', member)
    expect((await guess(openBrowser('en', '198.51.100.1, 203.0.113.90'), member)).status).toBe(429)
  })

  test('is the connection, whatever X-Forwarded-For says, where there is no proxy', async () => {
    const direct = await startTestApp()
    const member = await givenMember(direct)
    await guessTenTimes('203.0.113.91', member, direct)
    const refused = await guess(openBrowser('en', '203.0.113.92'), member, member.password, direct)
    await direct.close()
    expect(refused.status).toBe(429)
  })
})

test('mail to one address is limited, wherever it is asked for, and the answer does not depend on who has it', async () => {
  const member = await givenMember(server)
  for (const email of [member.email, 'nobody-at-all@example.com']) {
    const statuses = []
    for (let i = 1; i <= 6; i += 1) {
      const browser = openBrowser('en', `203.0.113.${100 + i}`)
      const signIn = await browser.open(`${server.issuer}/account`)
      const form = await browser.open(new URL('forgot-password', signIn.url))
      statuses.push((await browser.submit(form, '/forgot-password', { email })).status)
    }
    expect(statuses).toEqual([200, 200, 200, 200, 200, 429])
  }
})
