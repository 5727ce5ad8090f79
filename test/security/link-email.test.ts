import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Browser, Page } from '../support/browser.ts'
import { type GivenMember, givenMember } from '../support/given.ts'
import { changesOf, signInTo, visitor } from '../support/linking.ts'
import { codeSentTo } from '../support/mailbox.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let trusted: UpstreamProvider
beforeAll(async () => {
  server = await startLinkingApp()
  trusted = await givenUpstream(server, { id: 'trusted', settings: { trustEmail: true } })
})
afterAll(async () => {
  await Promise.all([server.close(), trusted.close()])
})

let count = 0
let victim: GivenMember
beforeEach(async () => {
  trusted.behavior.subject = `shopper-${++count}`
  trusted.behavior.wrong = {}
  victim = await givenMember(server, { email: `kate-${count}@example.com` })
})

const stepOf = ({ url }: Page) => url.pathname.replace(/\/(interaction|link)\/[\w-]+/, '/$1')

async function signInThrough(browser: Browser): Promise<Page> {
  return browser.submit(await browser.open(`${server.issuer}/account`), '/connections/trusted')
}

const oddForms: [string, (email: string) => unknown][] = [
  ['a second @', (email) => `attacker@evil.example@${email.split('@')[1]}`],
  ['a comment', (email) => email.replace('@', '(comment)@')],
  ['quotes', (email) => email.replace(/^(.*)@/, '"$1"@')],
  ['a display name', (email) => `Kate <${email}>`],
  ['two addresses', (email) => `${email},attacker@evil.example`],
  ['a letter that only looks alike', (email) => email.replace('k', '\u03ba')],
  ['the Kelvin sign for a K', (email) => email.replace('k', '\u212a')],
  ['full-width letters', (email) => email.replace('kate', '\uff4b\uff41\uff54\uff45')],
  ['a full-width domain', (email) => email.replace('example', '\uff45xample')],
  ['an invisible sign inside', (email) => email.replace('ate', '\u200bate')],
  ['a soft hyphen inside', (email) => email.replace('ate', '\u00adate')],
  ['a NUL inside', (email) => email.replace('@', '\u0000@')],
  ['a line break behind it', (email) => `${email}\r\n`],
  ['spaces around it', (email) => ` ${email} `],
  ['a tag', (email) => email.replace('@', '+tag@')],
  ['a dot', (email) => email.replace('kate', 'k.ate')],
  ['a dot behind the domain', (email) => `${email}.`],
  ['a longer domain', (email) => `${email}.evil.example`],
  ['a list around it', (email) => [email]],
]

describe('an address that reads like a member’s is none of theirs', () => {
  test.each(oddForms)('with %s', async (_, write) => {
    trusted.behavior.claims = { name: 'Kate', email: write(victim.email), email_verified: true }
    const { result, ...changes } = await changesOf(server, () => signInThrough(visitor()))
    expect(stepOf(result)).toBe('/interaction/sign-up')
    expect(changes).toEqual({ rows: {}, events: [] })
  })
})

describe('an address that reads like another proves nothing for that one', () => {
  test.each(oddForms)('with %s', async (_, write) => {
    const email = `kate-free-${count}@example.com`
    trusted.behavior.claims = { name: 'Kate', email: write(email), email_verified: true }
    const browser = visitor()
    const form = await signInThrough(browser)
    const { result, rows } = await changesOf(server, () => browser.submit(form, '/sign-up', { email }))
    expect(stepOf(result)).toBe('/interaction/verify-email')
    expect(rows).toEqual({})
  })
})

test('an address so long that it had to be cut proves nothing for what is left of it', async () => {
  const email = `${'k'.repeat(60)}@${'d'.repeat(60)}.${'e'.repeat(60)}.${'f'.repeat(60)}.example`.slice(
    0,
    254,
  )
  trusted.behavior.claims = { name: 'Kate', email: `${email}.evil.example`, email_verified: true }
  const form = await signInThrough(visitor())
  expect(form.html).not.toContain('ffff')
})

test('the flag of the ID token does not vouch for the address of userinfo', async () => {
  const email = `kate-free-${count}@example.com`
  trusted.behavior.claims = { name: 'Kate', email, email_verified: true }
  trusted.behavior.wrong = {
    idToken: ({ claims: { email: _, ...claims }, ...parts }) => ({ ...parts, claims }),
    json: { '/me': ({ email_verified: _, ...body }) => body },
  }
  const browser = visitor()
  const form = await signInThrough(browser)
  expect(form.html).toContain(email)
  const { result, rows } = await changesOf(server, () => browser.submit(form, '/sign-up'))
  expect(stepOf(result)).toBe('/interaction/verify-email')
  expect(rows).toEqual({})
})

describe('account pre-hijacking', () => {
  test('classic-federated merge: an address registered and never proved is nobody’s', async () => {
    const email = `owner-${count}@example.com`
    const attacker = visitor()
    const form = await attacker.open(`${server.issuer}/sign-up`)
    const password = 'copper orchard thimble'
    const verify = await attacker.submit(form, '/sign-up', { name: 'Attacker', email, password })

    trusted.behavior.claims = { name: 'Owner', email, email_verified: true }
    const owner = visitor()
    const own = await signInThrough(owner)
    const link = await owner.submit(own, '/sign-up')
    expect((await owner.submit(link, '/agree')).url.pathname).toBe('/account')

    const late = await attacker.submit(verify, '/verify-email', { code: '000000' })
    expect(late.status).toBe(422)
    const try_ = visitor()
    const signIn = await try_.open(`${server.issuer}/account`)
    expect((await try_.submit(signIn, '/sign-in', { email, password })).status).toBe(422)
  })

  test('trojan identifier: an attacker cannot add an account of their own to an address they have not proved', async () => {
    trusted.behavior.claims = { name: 'Attacker', email: 'attacker@evil.example', email_verified: true }
    const attacker = visitor()
    const form = await signInThrough(attacker)
    const { rows } = await changesOf(server, async () => {
      const verify = await attacker.submit(form, '/sign-up', { email: `free-${count}@example.com` })
      await attacker.submit(verify, '/verify-email', { code: '000000' })
    })
    expect(rows).toEqual({})
  })

  test('unexpired session: what an intruder had open ends when the owner recovers the account', async () => {
    const intruder = await signInTo(server, victim)
    server.advance(2)
    const owner = visitor()
    const form = await owner.open(`${server.issuer}/account`)
    const forgot = await owner.open(new URL('forgot-password', form.url))
    const reset = await owner.submit(forgot, '/forgot-password', { email: victim.email })
    const code = await codeSentTo(server, victim.email)
    await owner.submit(reset, '/reset-password', { code, password: 'copper orchard thimble' })
    const { result, rows } = await changesOf(server, () => intruder.open(`${server.issuer}/account`))
    expect(result.url.pathname).toMatch(/sign-in$/)
    expect(rows).toEqual({})
  })
})

test('the control: the plain address asks its member to sign in', async () => {
  trusted.behavior.claims = { name: 'Kate', email: victim.email, email_verified: true }
  const page = await signInThrough(visitor())
  expect(page.html).toContain('There is already an account with the email address')
})
