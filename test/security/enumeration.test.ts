import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser, type Page } from '../support/browser.ts'
import { type GivenMember, givenConnection, givenIdentity, givenMember } from '../support/given.ts'
import { mailTo } from '../support/mailbox.ts'

let server: TestApp
let member: GivenMember
/** Members, and somebody who is none: all answers to them are to be alike. */
const addresses: [string, string][] = []
beforeAll(async () => {
  server = await startTestApp()
  member = await givenMember(server, { email: 'member@example.com' })
  const suspended = await givenMember(server, { email: 'suspended@example.com' })
  await server.db.member.update({ where: { id: suspended.id }, data: { status: 'suspended' } })
  await givenConnection(server, { id: 'shop' })
  const federated = await givenMember(server, { email: 'federated@example.com' })
  await givenIdentity(server, { memberId: federated.id, connectionId: 'shop' })
  await server.db.passwordCredential.delete({ where: { memberId: federated.id } })
  addresses.push(
    ['a member', member.email],
    ['a suspended member', suspended.email],
    ['a member without a password', federated.email],
    ['nobody', 'nobody@example.com'],
  )
})
afterAll(() => server.close())

/** A page without what differs from one request to the next, and without the address that was typed. */
function shape({ html, status, headers, url }: Page, email: string) {
  const same = html
    .replaceAll(/nonce="[^"]*"|value="[\w-]{43}"|\/interaction\/[\w-]+/g, '…')
    .replaceAll(/[\da-f]{8}-[\da-f-]{27}/g, '…')
    .replaceAll(email.replace('@', '<wbr>@'), '(address)')
    .replaceAll(email, '(address)')
  const names = [...headers.keys()].filter((name) => name !== 'content-length').sort()
  return { status, names, path: url.pathname.replace(/\/interaction\/[\w-]+/, ''), html: same }
}

async function each(act: (browser: Browser, email: string) => Promise<Page>) {
  const shapes = new Map<string, ReturnType<typeof shape>>()
  for (const [who, email] of addresses) shapes.set(who, shape(await act(openBrowser(), email), email))
  return shapes
}

function expectAllAlike(shapes: Map<string, ReturnType<typeof shape>>): void {
  const expected = shapes.get('nobody')
  for (const [who, answer] of shapes) expect([who, answer]).toEqual([who, expected])
}

test('signing in with a wrong password answers everybody alike', async () => {
  const shapes = await each(async (browser, email) => {
    const form = await browser.open(`${server.issuer}/account`)
    return browser.submit(form, '/sign-in', { email, password: 'not the password' })
  })
  expectAllAlike(shapes)
  expect(shapes.get('nobody')?.status).toBe(422)
})

test('signing up answers everybody alike', async () => {
  const shapes = await each(async (browser, email) => {
    const form = await browser.open(`${server.issuer}/sign-up`)
    return browser.submit(form, '/sign-up', { name: 'New Member', email, password: 'violet harbor lantern' })
  })
  expectAllAlike(shapes)
  expect(shapes.get('nobody')).toMatchObject({ status: 200, path: '/verify-email' })
})

test('a wrong code after signing up answers everybody alike, to the last try', async () => {
  const answers = await each(async (browser, email) => {
    const form = await browser.open(`${server.issuer}/sign-up`)
    let page = await browser.submit(form, '/sign-up', {
      name: 'New Member',
      email,
      password: 'violet harbor lantern',
    })
    await server.app.dispatcher.drain()
    for (let i = 0; i < 6; i += 1) page = await browser.submit(page, '/verify-email', { code: '000000' })
    return page
  })
  expectAllAlike(answers)
})

test('asking for another code answers everybody alike', async () => {
  const shapes = await each(async (browser, email) => {
    const form = await browser.open(`${server.issuer}/sign-up`)
    const verify = await browser.submit(form, '/sign-up', {
      name: 'New Member',
      email,
      password: 'violet harbor lantern',
    })
    return browser.submit(verify, '/resend')
  })
  expectAllAlike(shapes)
})

describe('a forgotten password', () => {
  test('answers everybody alike', async () => {
    const shapes = await each(async (browser, email) => {
      const signIn = await browser.open(`${server.issuer}/account`)
      const form = await browser.open(new URL('forgot-password', signIn.url))
      return browser.submit(form, '/forgot-password', { email })
    })
    expectAllAlike(shapes)
    expect(shapes.get('nobody')).toMatchObject({ status: 200, path: '/reset-password' })
  })

  test('answers a wrong code alike', async () => {
    const shapes = await each(async (browser, email) => {
      const signIn = await browser.open(`${server.issuer}/account`)
      const form = await browser.open(new URL('forgot-password', signIn.url))
      const reset = await browser.submit(form, '/forgot-password', { email })
      await server.app.dispatcher.drain()
      return browser.submit(reset, '/reset-password', { code: '000000', password: 'copper meadow thimble' })
    })
    expectAllAlike(shapes)
  })
})

test('only the owner of an address learns that it is a member’s, by mail', async () => {
  const { text } = await mailTo(server, member.email, /already/i)
  expect(text).not.toMatch(/\b\d{6}\b/)
})
