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

const password = 'violet harbor lantern'
let count = 0
const newAddress = () => `newcomer-${++count}@example.com`

async function fillIn(browser: Browser, values: Record<string, string>): Promise<Page> {
  const form = await browser.open(`${server.issuer}/sign-up`)
  return browser.submit(form, '/sign-up', { name: 'New Member', password, ...values })
}

const enter = (browser: Browser, page: Page, code: string) => browser.submit(page, '/verify-email', { code })

const anotherCode = (code: string) => String((Number(code) + 1) % 1_000_000).padStart(6, '0')

describe('the form', () => {
  test.each([
    ['no name', { name: '   ' }, 'Please fill this in.'],
    ['a name of 101 characters', { name: 'n'.repeat(101) }, 'This name is too long.'],
    ['a name with a control character', { name: 'New\u0007Member' }, 'This is not valid.'],
    ['a name that turns the text around', { name: '\u202eNew Member' }, 'This is not valid.'],
    ['a name of two lines', { name: 'New\nMember' }, 'This is not valid.'],
    ['an address without a domain', { email: 'nobody' }, 'This is not an email address.'],
    ['an address with two @', { email: 'a@example.org@example.com' }, 'This is not an email address.'],
    [
      'an address with a line break',
      { email: 'a@example.com\r\nBcc: b@example.com' },
      'not an email address',
    ],
    ['a letter outside ASCII before the @', { email: '\u212aate@example.com' }, 'not an email address'],
    ['a short password', { password: 'only 14 chars!' }, 'Use at least 15 characters.'],
    ['a password of 129 characters', { password: 'violet harbor '.repeat(10) }, 'This password is too long.'],
    ['a common password', { password: 'passwordpassword' }, 'This password is easy to guess.'],
    ['a repeated pattern', { password: 'abcabcabcabcabcabc' }, 'This password is easy to guess.'],
    ['a walk on the keyboard', { password: 'qwertyuiopasdfghj' }, 'This password is easy to guess.'],
    [
      'a password that is mostly the address',
      { email: 'wonderful.lighthouse@example.com', password: 'lighthouse-example' },
      'Leave out your name, your email address',
    ],
    [
      'a password that is mostly the name',
      { name: 'Bartholomew', password: 'bartholomew-2031!' },
      'Leave out your name, your email address',
    ],
  ])('refuses %s, keeps what was typed but the password, and sends nothing', async (_, values, text) => {
    const email = newAddress()
    const { result, ...changes } = await changesOf(server, () => fillIn(visitor(), { email, ...values }))
    expect(result.status).toBe(422)
    expect(result.html).toContain(text)
    expect(result.html).not.toContain(password)
    expect(changes).toEqual({ rows: {}, events: [] })
  })

  test('a password is judged by code points, not by UTF-16 units', async () => {
    const page = await fillIn(visitor(), {
      email: newAddress(),
      password: '\u{1F3EE}\u{1F38B}\u{1F363}'.repeat(3),
    })
    expect(page.html).toContain('Use at least 15 characters.')
  })

  test('a form of another browser is refused', async () => {
    const [browser, other] = [visitor(), visitor()]
    const form = await browser.open(`${server.issuer}/sign-up`)
    const { result, ...changes } = await changesOf(server, () =>
      other.submit(form, '/sign-up', { name: 'New Member', email: newAddress(), password }),
    )
    expect(result.status).toBe(403)
    expect(changes).toEqual({ rows: {}, events: [] })
  })
})

describe('the code', () => {
  test('is refused five times, and from then on the right one is too', async () => {
    const [browser, email] = [visitor(), newAddress()]
    const page = await fillIn(browser, { email })
    const code = await codeSentTo(server, email)
    const { result, ...changes } = await changesOf(server, async () => {
      const answers = []
      for (let tries = 0; tries < 5; tries += 1) answers.push(await enter(browser, page, anotherCode(code)))
      answers.push(await enter(browser, page, code))
      return answers
    })
    expect(result.map(({ status }) => status)).toEqual([422, 422, 422, 422, 422, 422])
    expect(result[0]?.html).toContain('You have 4 tries left.')
    expect(result[3]?.html).toContain('You have 1 try left.')
    expect(result[5]?.html).toContain('Please get a new one.')
    expect(changes).toEqual({ rows: {}, events: [] })
  })

  test('a new one after five wrong ones works', async () => {
    const [browser, email] = [visitor(), newAddress()]
    const page = await fillIn(browser, { email })
    const code = await codeSentTo(server, email)
    for (let tries = 0; tries < 5; tries += 1) await enter(browser, page, anotherCode(code))
    const again = await browser.submit(page, '/resend')
    const fresh = await newestCode(email, code)
    expect((await enter(browser, again, fresh)).url.pathname).toBe('/account')
  })

  test('five guesses at once share the five tries', async () => {
    const [browser, email] = [visitor(), newAddress()]
    const page = await fillIn(browser, { email })
    const code = await codeSentTo(server, email)
    await Promise.all(Array.from({ length: 10 }, () => enter(browser, page, anotherCode(code))))
    expect((await enter(browser, page, code)).status).toBe(422)
    expect(await server.db.contactPoint.count({ where: { value: email } })).toBe(0)
  })

  test('is refused after ten minutes', async () => {
    const [browser, email] = [visitor(), newAddress()]
    const page = await fillIn(browser, { email })
    const code = await codeSentTo(server, email)
    server.advance(601)
    const { result, ...changes } = await changesOf(server, () => enter(browser, page, code))
    expect(result.status).toBe(422)
    expect(changes).toEqual({ rows: {}, events: [] })
  })

  test('an earlier one is refused once a new one was sent', async () => {
    const [browser, email] = [visitor(), newAddress()]
    const page = await fillIn(browser, { email })
    const first = await codeSentTo(server, email)
    const again = await browser.submit(page, '/resend')
    expect(again.html).toContain('We have sent the message again.')
    const second = await newestCode(email, first)
    expect((await enter(browser, again, first)).status).toBe(422)
    expect((await enter(browser, again, second)).url.pathname).toBe('/account')
  })

  test('sent to one address does not prove another that was typed afterwards', async () => {
    const [browser, own, other] = [visitor(), newAddress(), newAddress()]
    const page = await fillIn(browser, { email: own })
    const code = await codeSentTo(server, own)
    const form = await browser.open(new URL('sign-up', page.url))
    const changed = await browser.submit(form, '/sign-up', { name: 'New Member', password, email: other })
    const { result, ...changes } = await changesOf(server, () => enter(browser, changed, code))
    expect(result.status).toBe(422)
    expect(changes).toEqual({ rows: {}, events: [] })
  })

  test('in full-width digits and with spaces is the code', async () => {
    const [browser, email] = [visitor(), newAddress()]
    const page = await fillIn(browser, { email })
    const code = await codeSentTo(server, email)
    const typed = [...code].map((digit) => String.fromCodePoint(0xff10 + Number(digit))).join('')
    const account = await enter(browser, page, `${typed.slice(0, 3)} ${typed.slice(3)}`)
    expect(account.url.pathname).toBe('/account')
  })

  test('makes one member of two tabs that enter it at once', async () => {
    const [browser, email] = [visitor(), newAddress()]
    const page = await fillIn(browser, { email })
    const code = await codeSentTo(server, email)
    const changes = await changesOf(server, () =>
      Promise.all([enter(browser, page, code), enter(browser, page, code)]),
    )
    expect(changes.rows).toEqual({ Member: '+1', ContactPoint: '+1', PasswordCredential: '+1' })
    expect(typesOf(changes).filter((type) => type === 'member.registered')).toHaveLength(1)
    for (const { status } of changes.result) expect(status).toBeLessThan(500)
  })

  test('may be asked for five times an hour', async () => {
    const [browser, email] = [visitor(), newAddress()]
    let page = await fillIn(browser, { email })
    for (let sent = 1; sent < 5; sent += 1) page = await browser.submit(page, '/resend')
    expect(page.status).toBe(200)
    const { result, ...changes } = await changesOf(server, () => browser.submit(page, '/resend'))
    expect(result.status).toBe(429)
    expect(Number(result.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(changes).toEqual({ rows: {}, events: [] })
    const elsewhere = await fillIn(visitor(), { email: email.toUpperCase() })
    expect(elsewhere.status).toBe(429)
  })
})

describe('an address that is a member’s', () => {
  test('answers alike, and its owner is told instead of sent a code', async () => {
    const member = await givenMember(server)
    const [browser, other] = [visitor(), visitor()]
    const free = await fillIn(other, { email: newAddress() })
    const { result, ...changes } = await changesOf(server, () => fillIn(browser, { email: member.email }))
    expect(result.status).toBe(free.status)
    expect(plain(result, member.email)).toBe(plain(free, `newcomer-${count}@example.com`))
    expect(changes.rows).toEqual({})
    expect(typesOf({ result, ...changes })).toEqual(['registration.code_requested'])
    const mail = await mailTo(server, member.email, /already registered/)
    expect(mail.text).not.toMatch(/\b\d{6}\b/)
    expect(mail.text).toContain(`${server.issuer}/account`)

    const guess = await enter(browser, result, '000000')
    const freeGuess = await enter(other, free, '000000')
    expect([guess.status, plain(guess, member.email)]).toEqual([
      freeGuess.status,
      plain(freeGuess, `newcomer-${count}@example.com`),
    ])
  })

  test('is the same in other letters', async () => {
    const member = await givenMember(server)
    await fillIn(visitor(), { email: member.email.toUpperCase() })
    expect((await mailTo(server, member.email, /already registered/)).text).not.toMatch(/\b\d{6}\b/)
  })

  test('goes to the first of two who register it at once', async () => {
    const email = newAddress()
    const [first, second] = [visitor(), visitor()]
    const pages = [await fillIn(first, { email })]
    const firstCode = await codeSentTo(server, email)
    pages.push(await fillIn(second, { email, password: 'copper orchard thimble' }))
    const secondCode = await newestCode(email, firstCode)
    const changes = await changesOf(server, () =>
      Promise.all([
        enter(first, pages[0] ?? fail(), firstCode),
        enter(second, pages[1] ?? fail(), secondCode),
      ]),
    )
    expect(changes.rows).toEqual({ Member: '+1', ContactPoint: '+1', PasswordCredential: '+1' })
    for (const { status } of changes.result) expect(status).toBeLessThan(500)
    expect(changes.result.filter(({ url }) => url.pathname === '/account')).toHaveLength(1)
  })
})

test('a registration that is proved is a member with a session, and told so by mail', async () => {
  const [browser, email] = [visitor('ja'), 'Hanako.Suzuki+shop@Example.com']
  const page = await fillIn(browser, { email, name: '鈴木 花子' })
  const changes = await changesOf(server, async () =>
    enter(browser, page, await codeSentTo(server, email.toLowerCase())),
  )
  expect(changes.result.url.href).toBe(`${server.issuer}/account`)
  expect(changes.rows).toEqual({ Member: '+1', ContactPoint: '+1', PasswordCredential: '+1' })
  const [registered, signedIn] = changes.events
  expect(registered).toMatchObject({ type: 'member.registered', data: { via: 'password' } })
  expect(signedIn).toMatchObject({ type: 'member.signed_in', memberId: registered?.memberId })
  expect(changes.events).toHaveLength(2)
  const stored = await server.db.contactPoint.findFirstOrThrow({
    where: { memberId: registered?.memberId ?? '' },
  })
  expect(stored).toMatchObject({ value: email, normalized: email.toLowerCase(), isPrimary: true })
  const mail = await mailTo(server, email.toLowerCase(), /会員/)
  expect(mail.text).toContain(`${server.issuer}/account`)
  await signInTo(server, { email: email.toUpperCase(), password })
})

test('no password and no code is in the database or in the log', async () => {
  const [browser, email] = [visitor(), newAddress()]
  const secret = 'marble canyon telescope'
  const page = await fillIn(browser, { email, password: secret })
  const code = await codeSentTo(server, email)
  await enter(browser, page, code)
  const events = JSON.stringify(await server.db.event.findMany({ select: { data: true } }))
  expect(events).not.toContain(code)
  expect(server.logged()).not.toContain(secret)
  expect(server.logged()).not.toContain(code)
  expect(server.logged()).not.toContain(email)
})

async function newestCode(email: string, not: string): Promise<string> {
  await server.app.dispatcher.drain()
  return (await mailTo(server, email, new RegExp(`\\b(?!${not})\\d{6}\\b`))).match
}

/** A page without what differs from one request to the next. */
const plain = ({ html }: Page, email: string) =>
  html
    .replaceAll(/value="[^"]{20,}"|nonce="[^"]*"|interaction\/[\w-]+|to=%2Finteraction[^"]*/g, '')
    .replaceAll(email, 'ADDRESS')
    .replaceAll(email.replace('@', '<wbr>@'), 'ADDRESS')

function fail(): never {
  throw new Error('there is no such page')
}
