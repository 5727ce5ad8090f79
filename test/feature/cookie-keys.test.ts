import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { givenClient, givenMember } from '../support/given.ts'
import { signInTo } from '../support/linking.ts'
import { begin, redeem, relyingParty } from '../support/relying-party.ts'

const newer = randomBytes(32).toString('hex')

let server: TestApp
let older: string
beforeEach(async () => {
  server = await startTestApp()
  older = server.config.COOKIE_KEYS[0] ?? ''
})
afterEach(() => server.close())

/** The steps at two processes that take turns at every request: while one has taken a step, the other has not yet. */
const steps = () => {
  const [one, both, newFirst, newOnly] = [[older], [older, newer], [newer, older], [newer]]
  return [
    [one, both],
    [both, both],
    [both, newFirst],
    [newFirst, newFirst],
    [newFirst, newOnly],
    [newOnly, newOnly],
  ].map((processes) => processes.map((COOKIE_KEYS) => ({ COOKIE_KEYS })))
}

test('a session, and a form that is open, outlive every step of a rotation', async () => {
  const browser = await signInTo(server, await givenMember(server), openBrowser())
  let form = await browser.open(`${server.issuer}/account`)
  for (const processes of steps()) {
    await server.restartAs(...processes)
    for (const locale of ['ja', 'en']) {
      form = await browser.submit(form, '/locale', { to: locale, return_to: '/account' })
      expect([form.status, form.url.pathname]).toEqual([200, '/account'])
      expect(form.html).toContain(`lang="${locale}"`)
    }
  }
})

test('an authorization that was begun before a step is finished after it', async () => {
  const member = await givenMember(server)
  const party = await relyingParty(server, await givenClient(server))
  for (const processes of steps()) {
    const browser = openBrowser()
    browser.stopAt(party.redirectUri)
    const attempt = await begin(party)
    const form = await browser.open(attempt.url)
    await server.restartAs(...processes)
    const consent = await browser.submit(form, '/sign-in', member as unknown as Record<string, string>)
    const { url } = consent.status === 0 ? consent : await browser.submit(consent, '/consent')
    expect((await redeem(party, url, attempt)).claims()?.sub).toBe(member.id)
  }
})

test('a key that is dropped takes with it what only it has signed', async () => {
  const browser = await signInTo(server, await givenMember(server), openBrowser())
  await server.restartAs({ COOKIE_KEYS: [newer] })
  const page = await browser.open(`${server.issuer}/account`)
  expect(page.url.pathname).toMatch(/\/sign-in$/)
})
