import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import type { Browser } from '../support/browser.ts'
import { type GivenMember, givenConnection, givenIdentity, givenMember } from '../support/given.ts'
import { changesOf, signInTo } from '../support/linking.ts'
import { mailTo } from '../support/mailbox.ts'
import { merge } from '../support/merging.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp({ env: { TRUST_PROXY: '1' } })
})
afterAll(() => server.close())

let survivor: GivenMember
let absorbed: GivenMember
let path: string
beforeEach(async () => {
  survivor = await givenMember(server)
  absorbed = await givenMember(server)
  const { id: connectionId } = await givenConnection(server)
  await givenIdentity(server, { memberId: absorbed.id, connectionId, name: 'Hana at the shop' })
  path = `/account/merges/${(await merge(server, survivor, absorbed)).id}/undo`
})

const nothing = { rows: {}, events: [] }

/** Presses "send the code" and reads the mail that the absorbed side gets. */
async function askForCode(browser: Browser) {
  const page = await browser.open(`${server.issuer}${path}`)
  const form = await browser.submit(page, '/undo')
  const { text } = await mailTo(server, absorbed.email, /undo a merge/i)
  return { form, code: /\b\d{6}\b/.exec(text)?.[0] ?? '' }
}

describe('a merge is not undone from a page', () => {
  test('by a member it is not of: for them it is not there', async () => {
    const browser = await signInTo(server, await givenMember(server))
    const page = await browser.open(`${server.issuer}${path}`)
    expect(page.status).toBe(404)
    const own = await signInTo(server, survivor)
    const { form, code } = await askForCode(own)
    // The owner's form, as this browser would send it had it one of its own.
    const { html } = await browser.open(`${server.issuer}/account/profile`)
    const [token = ''] = /name="_csrf" value="[^"]*"/.exec(html) ?? []
    const stolen = { ...form, html: form.html.replaceAll(/name="_csrf" value="[^"]*"/g, token) }
    const { result, ...changes } = await changesOf(server, () =>
      browser.submit(stolen, form.url.pathname, { code }),
    )
    expect(result.status).toBe(404)
    expect(changes).toEqual(nothing)
  })

  test('at an address that is no merge’s, whatever it looks like', async () => {
    const browser = await signInTo(server, survivor)
    for (const id of ['-'.repeat(36), 'a'.repeat(36), `${crypto.randomUUID()}x`])
      expect((await browser.open(`${server.issuer}/account/merges/${id}/undo`)).status).toBe(404)
  })

  test('while the sign-in is older than the limit', async () => {
    const browser = await signInTo(server, survivor)
    server.advance(601)
    const page = await browser.open(`${server.issuer}${path}`)
    expect(page.html).toContain('Confirm it is you')
  })

  test('without the code, with another, or after five tries', async () => {
    const browser = await signInTo(server, survivor)
    const { form, code } = await askForCode(browser)
    const wrong = code === '000000' ? '000001' : '000000'
    const { result, ...changes } = await changesOf(server, async () => {
      const empty = await browser.submit(form, form.url.pathname, { code: '' })
      const answers = []
      for (let tries = 0; tries < 5; tries += 1)
        answers.push(await browser.submit(form, form.url.pathname, { code: wrong }))
      return [empty, ...answers, await browser.submit(form, form.url.pathname, { code })]
    })
    expect(result.map(({ status }) => status)).toEqual(Array(7).fill(422))
    expect(changes).toEqual(nothing)
  })

  test('in another session of the same member than the one that asked', async () => {
    const { form, code } = await askForCode(await signInTo(server, survivor))
    const elsewhere = await signInTo(server, survivor)
    const page = await elsewhere.open(form.url)
    expect(page.url.pathname).toBe(path)
    expect(page.html).not.toContain('name="code"')
    expect(code).toMatch(/^\d{6}$/)
  })

  test('twice with one code: the second press finds it done', async () => {
    const browser = await signInTo(server, survivor)
    const { form, code } = await askForCode(browser)
    await Promise.all([
      browser.submit(form, form.url.pathname, { code }),
      browser.submit(form, form.url.pathname, { code }),
    ])
    expect(await server.db.event.count({ where: { type: 'member.restored', memberId: absorbed.id } })).toBe(1)
  })
})

test('codes cannot be asked for without end', async () => {
  const browser = await signInTo(server, survivor)
  const page = await browser.open(`${server.issuer}${path}`)
  const answers = []
  for (let asked = 0; asked < 6; asked += 1) answers.push((await browser.submit(page, '/undo')).status)
  expect(answers).toEqual([200, 200, 200, 200, 200, 429])
})

test('who proves both sides undoes it; both are signed out and told, and each signs in as themselves', async () => {
  const browser = await signInTo(server, survivor)
  const account = await browser.open(`${server.issuer}/account`)
  expect(account.html).toContain('Merged member IDs')
  const list = await browser.open(`${server.issuer}/account/merges`)
  expect(list.html).toContain('Hana at the shop')
  expect(list.html).toContain(absorbed.email)
  for (const { email } of [survivor, absorbed])
    expect((await mailTo(server, email, /made one/)).text).toContain('/account/merges')

  const { form, code } = await askForCode(browser)
  const after = await browser.submit(form, form.url.pathname, { code })
  expect(after.url.pathname).toMatch(/sign-in$/)
  for (const { email } of [survivor, absorbed]) await mailTo(server, email, /was undone/)
  const { email, password } = survivor
  const page = await browser.submit(after, '/sign-in', { email, password })
  expect(page.html).toContain('There are two member IDs again.')
  expect((await browser.open(`${server.issuer}/account`)).html).not.toContain('Hana at the shop')
  const own = await signInTo(server, absorbed)
  expect((await own.open(`${server.issuer}/account`)).html).toContain('Hana at the shop')
})
