import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import type { Browser, Page } from '../support/browser.ts'
import { givenMember } from '../support/given.ts'
import { changesOf, signInTo, typesOf, visitor } from '../support/linking.ts'
import { codeSentTo, mailTo } from '../support/mailbox.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp({ env: { TRUST_PROXY: '1' }, inProcessStore: true })
})
afterAll(() => server.close())

const password = 'copper orchard thimble'

async function ask(browser: Browser, email: string): Promise<Page> {
  const form = await browser.open(`${server.issuer}/account`)
  const forgot = await browser.open(new URL('forgot-password', form.url))
  return browser.submit(forgot, '/forgot-password', { email })
}

const reset = (browser: Browser, page: Page, code: string, to = password) =>
  browser.submit(page, '/reset-password', { code, password: to })

const anotherCode = (code: string) => String((Number(code) + 1) % 1_000_000).padStart(6, '0')

describe('a recovery is refused', () => {
  test('alike for an unknown address, which is told that it has no account', async () => {
    const member = await givenMember(server)
    const unknown = 'nobody-here@example.com'
    const [known, other] = [await ask(visitor(), member.email), await ask(visitor(), unknown)]
    expect([known.status, known.url.pathname.split('/').at(-1)]).toEqual([200, 'reset-password'])
    expect([other.status, other.url.pathname.split('/').at(-1)]).toEqual([200, 'reset-password'])
    const mail = await mailTo(server, unknown, /no|not/i)
    expect(mail.text).not.toMatch(/\b\d{6}\b/)
    expect(await codeSentTo(server, member.email)).toMatch(/^\d{6}$/)
  })

  test('with a code that was wrong five times, right as it may be then', async () => {
    const member = await givenMember(server)
    const browser = visitor()
    const page = await ask(browser, member.email)
    const code = await codeSentTo(server, member.email)
    const { result, ...changes } = await changesOf(server, async () => {
      for (let tries = 0; tries < 5; tries += 1) await reset(browser, page, anotherCode(code))
      return reset(browser, page, code)
    })
    expect(result.status).toBe(422)
    expect(result.html).toContain('This code no longer works.')
    expect(changes).toEqual({ rows: {}, events: [] })
    await signInTo(server, member)
  })

  test('with a code that is ten minutes old', async () => {
    const member = await givenMember(server)
    const browser = visitor()
    const page = await ask(browser, member.email)
    const code = await codeSentTo(server, member.email)
    server.advance(601)
    const { result, ...changes } = await changesOf(server, () => reset(browser, page, code))
    expect(result.status).toBe(422)
    expect(changes).toEqual({ rows: {}, events: [] })
  })

  test('with a code that was used', async () => {
    const member = await givenMember(server)
    const browser = visitor()
    const page = await ask(browser, member.email)
    const code = await codeSentTo(server, member.email)
    await reset(browser, page, code)
    const { result, ...changes } = await changesOf(server, () =>
      reset(browser, page, code, 'marble canyon telescope'),
    )
    expect(result.status).toBe(400)
    expect(changes).toEqual({ rows: {}, events: [] })
  })

  test('in another browser than the one that asked', async () => {
    const member = await givenMember(server)
    const page = await ask(visitor(), member.email)
    const code = await codeSentTo(server, member.email)
    const attacker = visitor()
    const own = await ask(attacker, 'nobody-else@example.com')
    const { result, ...changes } = await changesOf(server, async () => [
      await reset(attacker, page, code),
      await reset(attacker, own, code),
    ])
    expect(result.map(({ status }) => status)).toEqual([403, 422])
    expect(changes).toEqual({ rows: {}, events: [] })
  })

  test('for a suspended member', async () => {
    const member = await givenMember(server)
    const browser = visitor()
    const page = await ask(browser, member.email)
    const code = await codeSentTo(server, member.email)
    await server.db.member.update({ where: { id: member.id }, data: { status: 'suspended' } })
    const { result, ...changes } = await changesOf(server, () => reset(browser, page, code))
    expect(result.url.pathname).toMatch(/sign-in$/)
    expect(changes).toEqual({ rows: {}, events: [] })
  })

  test('the sixth time within an hour', async () => {
    const member = await givenMember(server)
    for (let sent = 0; sent < 5; sent += 1) expect((await ask(visitor(), member.email)).status).toBe(200)
    const { result, ...changes } = await changesOf(server, () => ask(visitor(), member.email.toUpperCase()))
    expect(result.status).toBe(429)
    expect(changes).toEqual({ rows: {}, events: [] })
  })
})

test.each([
  ['short', 'too short!', 'Use at least 15 characters.'],
  ['common', 'passwordpassword', 'This password is easy to guess.'],
])('a %s password does not cost the code', async (_, weak, text) => {
  const member = await givenMember(server)
  const browser = visitor()
  const page = await ask(browser, member.email)
  const code = await codeSentTo(server, member.email)
  for (let tries = 0; tries < 6; tries += 1) {
    const refused = await reset(browser, page, code, weak)
    expect(refused.status).toBe(422)
    expect(refused.html).toContain(text)
  }
  expect((await reset(browser, page, code)).url.pathname).toBe('/account')
})

test('the address itself is no password', async () => {
  const member = await givenMember(server, { email: 'wonderful.lighthouse@example.com' })
  const browser = visitor()
  const page = await ask(browser, member.email)
  const refused = await reset(browser, page, '123456', member.email)
  expect(refused.html).toContain('Leave out your name')
})

test('a recovery sets the password, ends every other session and tells the member', async () => {
  const member = await givenMember(server, { locale: 'ja' })
  const thief = await signInTo(server, member)
  server.advance(5)
  const browser = visitor()
  const page = await ask(browser, member.email)
  const code = await codeSentTo(server, member.email)
  const { result, ...changes } = await changesOf(server, () => reset(browser, page, code))

  expect(result.url.pathname).toBe('/account')
  expect(changes.rows).toEqual({ Member: '~1', PasswordCredential: '~1' })
  expect(changes.events).toEqual([
    { type: 'password.changed', memberId: member.id, data: { by: 'recovery' } },
    { type: 'sessions.ended', memberId: member.id, data: { reason: 'password_changed' } },
    expect.objectContaining({ type: 'member.signed_in', memberId: member.id }),
  ])
  expect((await thief.open(`${server.issuer}/account`)).url.pathname).toMatch(/sign-in$/)
  expect((await browser.open(`${server.issuer}/account`)).url.pathname).toBe('/account')
  expect((await mailTo(server, member.email, /パスワード/)).subject).toContain('パスワード')

  const old = visitor()
  const form = await old.open(`${server.issuer}/account`)
  expect(
    (await old.submit(form, '/sign-in', { email: member.email, password: member.password })).status,
  ).toBe(422)
  await signInTo(server, { email: member.email, password })
})

test('a member without a password gets one by recovery', async () => {
  const member = await givenMember(server)
  await server.db.passwordCredential.delete({ where: { memberId: member.id } })
  const browser = visitor()
  const page = await ask(browser, member.email)
  const changes = await changesOf(server, async () =>
    reset(browser, page, await codeSentTo(server, member.email)),
  )
  expect(changes.rows).toEqual({ Member: '~1', PasswordCredential: '+1' })
  expect(typesOf(changes)).toContain('password.changed')
})

test('a code entered twice at once sets the password once', async () => {
  const member = await givenMember(server)
  const browser = visitor()
  const page = await ask(browser, member.email)
  const code = await codeSentTo(server, member.email)
  const changes = await changesOf(server, () =>
    Promise.all([reset(browser, page, code), reset(browser, page, code, 'marble canyon telescope')]),
  )
  expect(typesOf(changes).filter((type) => type === 'password.changed')).toHaveLength(1)
  for (const { status } of changes.result) expect(status).toBeLessThan(500)
})
