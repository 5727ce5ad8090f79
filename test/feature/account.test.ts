import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import type { Browser, Page } from '../support/browser.ts'
import { givenMember } from '../support/given.ts'
import { changesOf, signInTo, visitor } from '../support/linking.ts'
import { mailTo } from '../support/mailbox.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp({ env: { TRUST_PROXY: '1' }, inProcessStore: true })
})
afterAll(() => server.close())

const newPassword = 'copper orchard thimble'

async function change(browser: Browser, values: Record<string, string>): Promise<Page> {
  const page = await browser.open(`${server.issuer}/account/security`)
  return browser.submit(page, '/account/password', values)
}

describe('the password', () => {
  test.each([
    ['without the current one', { currentPassword: '' }, 'This password is wrong.'],
    ['with a wrong current one', { currentPassword: 'marble canyon telescope' }, 'This password is wrong.'],
    ['to a short one', { newPassword: 'too short!' }, 'Use at least 15 characters.'],
    ['to a common one', { newPassword: 'passwordpassword' }, 'This password is easy to guess.'],
    ['to the name', { newPassword: 'hanako suzuki hanako' }, 'Leave out your name'],
  ])('is not changed %s', async (_, values, text) => {
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    const { result, ...changes } = await changesOf(server, () =>
      change(browser, { currentPassword: member.password, newPassword, ...values }),
    )
    expect(result.status).toBe(422)
    expect(result.html).toContain(text)
    expect(result.html).not.toContain(newPassword)
    expect(changes).toEqual({ rows: {}, events: [] })
  })

  test('is not guessed more than ten times', async () => {
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    const guess = () => change(browser, { currentPassword: 'marble canyon telescope', newPassword })
    for (let tries = 0; tries < 10; tries += 1) expect((await guess()).status).toBe(422)
    expect((await guess()).status).toBe(429)
    const right = await changesOf(server, () =>
      change(browser, { currentPassword: member.password, newPassword }),
    )
    expect(right.result.status).toBe(429)
    expect(right.rows).toEqual({})
  })

  test('is changed by one of two forms that are sent at once', async () => {
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    const page = await browser.open(`${server.issuer}/account/security`)
    const changes = await changesOf(server, () =>
      Promise.all(
        [newPassword, 'marble canyon telescope'].map((to) =>
          browser.submit(page, '/account/password', { currentPassword: member.password, newPassword: to }),
        ),
      ),
    )
    expect(changes.events.filter(({ type }) => type === 'password.changed')).toHaveLength(1)
  })

  test('is set for the first time only after a recent sign-in', async () => {
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    await server.db.passwordCredential.delete({ where: { memberId: member.id } })
    server.advance(601)
    const late = await changesOf(server, () => change(browser, { newPassword }))
    expect(late.result.url.pathname).toMatch(/sign-in$/)
    expect(late).toMatchObject({ rows: {}, events: [] })
  })

  test('once changed ends every session that began before, in every browser', async () => {
    const member = await givenMember(server)
    const [browser, other] = [await signInTo(server, member), await signInTo(server, member)]
    server.advance(5)
    const { result, ...changes } = await changesOf(server, () =>
      change(browser, { currentPassword: member.password, newPassword }),
    )
    expect(result.url.pathname).toMatch(/sign-in$/)
    expect(changes.rows).toEqual({ Member: '~1', PasswordCredential: '~1' })
    expect(changes.events).toEqual([
      { type: 'password.changed', memberId: member.id, data: { by: 'member' } },
      { type: 'sessions.ended', memberId: member.id, data: { reason: 'password_changed' } },
    ])
    expect((await other.open(`${server.issuer}/account`)).url.pathname).toMatch(/sign-in$/)
    await mailTo(server, member.email, /password/i)
    await signInTo(server, { email: member.email, password: newPassword })
  })
})

describe('the profile', () => {
  test.each([
    ['nothing', '  '],
    ['a control character', 'Ha\u0000nako'],
    ['two lines', 'Hanako\r\nSuzuki'],
    ['a sign that turns text around', 'Hanako\u202eSuzuki'],
    ['101 characters', '花'.repeat(101)],
  ])('does not take %s for a name', async (_, name) => {
    const browser = await signInTo(server, await givenMember(server))
    const page = await browser.open(`${server.issuer}/account/profile`)
    const { result, ...changes } = await changesOf(server, () =>
      browser.submit(page, '/account/profile', { name }),
    )
    expect(result.status).toBe(422)
    expect(changes).toEqual({ rows: {}, events: [] })
  })

  test('keeps a name as it is written, and shows it as text', async () => {
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    const page = await browser.open(`${server.issuer}/account/profile`)
    const name = `<b>花子</b> & "O'Neil"`
    const { result, ...changes } = await changesOf(server, () =>
      browser.submit(page, '/account/profile', { name }),
    )
    expect(result.html).toContain('Your profile is saved.')
    expect(result.html).toContain('&lt;b&gt;花子&lt;/b&gt; &amp;')
    expect(changes.rows).toEqual({ Member: '~1' })
    expect(changes.events).toEqual([
      { type: 'member.profile_changed', memberId: member.id, data: { claims: ['name'] } },
    ])
    expect(await server.db.member.findUnique({ where: { id: member.id } })).toMatchObject({ name })
  })

  test('has no form for the address, and takes none', async () => {
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    const page = await browser.open(`${server.issuer}/account/profile`)
    const { rows } = await changesOf(server, () =>
      browser.submit(page, '/account/profile', {
        name: 'Hanako',
        email: 'x@example.com',
        status: 'suspended',
      }),
    )
    expect(rows).toEqual({ Member: '~1' })
    expect(await server.db.member.findUnique({ where: { id: member.id } })).toMatchObject({
      status: 'active',
    })
  })
})

describe('signing out', () => {
  test('everywhere ends every session and says so', async () => {
    const member = await givenMember(server)
    const [browser, other] = [await signInTo(server, member), await signInTo(server, member)]
    server.advance(5)
    const page = await browser.open(`${server.issuer}/account/security`)
    const { result, ...changes } = await changesOf(server, () =>
      browser.submit(page, '/account/sign-out-everywhere'),
    )
    expect(result.url.pathname).toMatch(/sign-in$/)
    expect(changes.rows).toEqual({ Member: '~1' })
    expect(changes.events).toEqual([
      { type: 'sessions.ended', memberId: member.id, data: { reason: 'member' } },
    ])
    expect((await other.open(`${server.issuer}/account`)).url.pathname).toMatch(/sign-in$/)
  })

  test.each(['/account', '/account/profile', '/account/security', '/account/connections/line/unlink'])(
    '%s asks a stranger to sign in and shows nothing',
    async (path) => {
      const page = await visitor().open(server.issuer + path)
      expect(page.url.pathname).toMatch(/^\/interaction\/[^/]+\/sign-in$/)
    },
  )

  test.each([
    '/account/profile',
    '/account/password',
    '/account/sign-out-everywhere',
    '/account/connections/line/unlink',
  ])('a form sent to %s without a session changes nothing', async (path) => {
    const browser = visitor()
    const form = await browser.open(`${server.issuer}/account`)
    const _csrf = /name="_csrf" value="([^"]+)"/.exec(form.html)?.[1] ?? ''
    const { result, ...changes } = await changesOf(server, () =>
      browser.request(server.issuer + path, {
        method: 'POST',
        body: new URLSearchParams({ _csrf, name: 'x', newPassword }),
      }),
    )
    expect(result.status).toBe(401)
    expect(changes).toEqual({ rows: {}, events: [] })
  })
})
