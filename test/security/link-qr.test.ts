import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { digest } from '../../src/security/digest.ts'
import type { Browser, Page } from '../support/browser.ts'
import { type GivenClient, type GivenMember, givenClient, givenMember } from '../support/given.ts'
import { apiToken, callApi } from '../support/link-api.ts'
import { changesOf, signInTo, typesOf, visitor } from '../support/linking.ts'
import { codeOn, openScreen, scannedFrom } from '../support/qr.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
let shop: GivenClient
beforeAll(async () => {
  server = await startLinkingApp({ inProcessStore: true })
  upstream = await givenUpstream(server, { id: 'upstream' })
  shop = await givenClient(server, {
    id: 'counter',
    connections: ['upstream'],
    metadata: { grant_types: ['authorization_code', 'refresh_token', 'client_credentials'] },
  })
})
afterAll(async () => {
  await Promise.all([server.close(), upstream.close()])
})

let count = 0
let member: GivenMember
let desktop: Browser
let screen: Page
let scanned: string
beforeEach(async () => {
  upstream.behavior.subject = `qr-shopper-${++count}`
  upstream.behavior.claims = { name: 'Hana upstream' }
  upstream.behavior.decline = false
  member = await givenMember(server, { name: 'Kiku Suzuki' })
  desktop = await signInTo(server, member)
  screen = await openScreen(server, desktop, 'upstream')
  scanned = await scannedFrom(server, screen)
})

const nothing = { rows: {}, events: [] }
const oneLink = { FederatedIdentity: '+1', LinkConsent: '+1', UpstreamToken: '+1' }
const wrongCode = (code: string) => (code === '000000' ? '000001' : '000000')

/** The phone goes as far as the code. */
async function codeOf(phone: Browser, address = scanned): Promise<string> {
  const proved = await phone.submit(await phone.open(address), '/join')
  return codeOn(await phone.submit(proved, '/confirm'))
}

const reload = () => desktop.open(screen.url)

describe('both ends: the member is signed in on the screen', () => {
  test('the code the phone shows is typed on the screen, the member agrees there, and both ends are told', async () => {
    const phone = visitor()
    const { result, rows, events } = await changesOf(server, async () => {
      const code = await codeOf(phone)
      const consent = await desktop.submit(await reload(), '/code', {
        code: `${code.slice(0, 3)} ${code.slice(3)}`,
      })
      expect(consent.html).toContain('Hana upstream')
      return desktop.submit(consent, '/agree')
    })
    expect(`${result.url.pathname}${result.url.search}`).toBe('/account?notice=linked&connection=upstream')
    expect(rows).toMatchObject(oneLink)
    const data = { connectionId: 'upstream', way: 'qr_code' }
    expect(events.at(-1)).toMatchObject({ type: 'identity.linked', memberId: member.id, data })
    expect((await phone.open(scanned)).html).toContain('The account is linked')
  })

  test('the phone alone links nothing, nor does it sign in or see who the member is', async () => {
    const phone = visitor()
    const { result, ...changes } = await changesOf(server, async () => {
      const proved = await phone.submit(await phone.open(scanned), '/join')
      await phone.submit(proved, '/confirm')
      return proved
    })
    expect(changes).toEqual(nothing)
    expect(result.html).toContain('K…')
    expect(result.html).not.toContain('Kiku')
    expect(result.html).not.toContain(member.email)
    expect((await phone.open(`${server.issuer}/account`)).url.pathname).toMatch(/sign-in$/)
  })

  test('there is no code before the phone has proved the account and confirmed', async () => {
    const phone = visitor()
    expect(codeOn(await phone.open(scanned))).toBe('')
    const proved = await phone.submit(await phone.open(scanned), '/join')
    expect(codeOn(proved)).toBe('')
    expect((await reload()).html).not.toContain('name="code"')
    // Neither end shows the code but the phone.
    const code = codeOn(await phone.submit(proved, '/confirm'))
    expect(code).toMatch(/^\d{6}$/)
    expect((await reload()).html).not.toContain(code)
  })

  test('a forwarded code: a second phone is refused and recorded', async () => {
    const first = visitor()
    await codeOf(first)
    const { result, rows, events } = await changesOf(server, async () => [await visitor().open(scanned)])
    expect(result.map(({ status }) => status)).toEqual([410])
    expect(rows).toEqual({})
    const data = { connectionId: 'upstream', way: 'qr_code', reason: 'second_phone' }
    expect(events).toEqual([{ type: 'link.refused', memberId: null, data }])
  })

  test('of ten phones at once, one is bound', async () => {
    const phones = await Promise.all(
      Array.from({ length: 10 }, async () => {
        const phone = visitor()
        return { phone, page: await phone.open(scanned) }
      }),
    )
    const pages = await Promise.all(phones.map(({ phone, page }) => phone.submit(page, '/join')))
    expect(pages.filter(({ status }) => status === 200)).toHaveLength(1)
  })

  test('five wrong codes end it at both ends, also when they are sent at once', async () => {
    const phone = visitor()
    const code = await codeOf(phone)
    const page = await reload()
    for (let guess = 0; guess < 4; guess++) {
      const { status, html } = await desktop.submit(page, '/code', { code: wrongCode(code) })
      expect(status).toBe(422)
      expect(html).toContain('name="code"')
    }
    const last = await changesOf(server, () => desktop.submit(page, '/code', { code: wrongCode(code) }))
    expect(last.rows).toEqual({})
    expect(last.events).toMatchObject([{ type: 'link.refused', data: { reason: 'qr_code_used_up' } }])
    const late = await changesOf(server, () => desktop.submit(page, '/code', { code }))
    expect(late).toMatchObject(nothing)
    expect(late.result.url.pathname).toBe('/account')
    expect((await phone.open(scanned)).html).toContain('Nothing was linked')
  })

  test('guesses at once count each', async () => {
    const code = await codeOf(visitor())
    const page = await reload()
    const { rows } = await changesOf(server, () =>
      Promise.all(Array.from({ length: 30 }, () => desktop.submit(page, '/code', { code: wrongCode(code) }))),
    )
    expect(rows).toEqual({})
    const id = screen.url.pathname.split('/').at(-1)
    expect(JSON.parse((await server.store.get(`qr:${id}`)) ?? '{}').tries).toBeLessThanOrEqual(5)
  })

  test.each([
    ['another browser of the same member', () => signInTo(server, member)],
    ['another member', async () => signInTo(server, await givenMember(server))],
    ['a stranger', async () => visitor()],
    ['the phone itself', async () => visitor()],
  ])('%s neither sees the screen nor types the code there', async (_, someone) => {
    const phone = await someone()
    const code = await codeOf(phone)
    const _csrf = /name="_csrf" value="([^"]+)"/.exec((await phone.open(scanned)).html)?.[1] ?? ''
    const { result, ...changes } = await changesOf(server, async () => [
      (await phone.open(screen.url)).status,
      (
        await phone.request(`${screen.url.href}/code`, {
          method: 'POST',
          body: new URLSearchParams({ code, _csrf }),
        })
      ).status,
    ])
    expect(result).toEqual([403, 403])
    expect(changes).toEqual(nothing)
  })

  test('the phone’s own transaction is held: its page leads back, and an agreement sent to it links nothing', async () => {
    const phone = visitor()
    await codeOf(phone)
    const id = screen.url.pathname.split('/').at(-1)
    const { transactionId } = JSON.parse((await server.store.get(`qr:${id}`)) ?? '{}').phone
    const page = await phone.open(`${server.issuer}/link/${transactionId}`)
    expect(page.url.href).toBe(scanned)
    const _csrf = /name="_csrf" value="([^"]+)"/.exec(page.html)?.[1] ?? ''
    const { rows } = await changesOf(server, () =>
      phone.request(`${server.issuer}/link/${transactionId}/agree`, {
        method: 'POST',
        body: new URLSearchParams({ _csrf, shown: 'x' }),
      }),
    )
    expect(rows).toEqual({})
  })

  test('who cancels, at either end or at the upstream, ends it for both', async () => {
    const cancelled = await changesOf(server, () => desktop.submit(screen, '/cancel'))
    expect(typesOf(cancelled)).toEqual(['link.declined'])
    expect(cancelled.result.url.search).toContain('notice=declined')
    const phone = visitor()
    expect((await phone.open(scanned)).html).toContain('Nothing was linked')

    const second = await openScreen(server, desktop, 'upstream')
    const address = await scannedFrom(server, second)
    const other = visitor()
    upstream.behavior.decline = true
    const declined = await changesOf(server, async () => other.submit(await other.open(address), '/join'))
    expect(declined.result.html).toContain('Nothing was linked')
    expect(typesOf(declined)).toEqual(['link.declined'])
    expect((await desktop.open(second.url)).url.search).toContain('notice=declined')
  })

  test('the screen is of use to its session alone: signing out ends it', async () => {
    const ask = await desktop.submit(await desktop.open(`${server.issuer}/account`), '/account/sign-out')
    await desktop.submit(ask, '/sign-out/confirm', { logout: 'yes' })
    expect((await reload()).status).toBe(403)
  })

  test('it begins only after a fresh sign-in', async () => {
    const account = await desktop.open(`${server.issuer}/account`)
    server.advance(601)
    const { result, ...changes } = await changesOf(server, () =>
      desktop.submit(account, '/connections/upstream/qr'),
    )
    expect(result.url.pathname).toMatch(/sign-in$/)
    expect(changes).toEqual(nothing)
  })

  test('after ten minutes the code to scan is over, and a made-up one was never there', async () => {
    server.advance(601)
    for (const [url, reason] of [
      [scanned, 'qr_expired'],
      [`${server.issuer}/qr/${'A'.repeat(43)}`, 'qr_unknown'],
    ] as const) {
      const { result, events } = await changesOf(server, () => visitor().open(url))
      expect(result.status).toBe(410)
      expect(events).toMatchObject([{ type: 'link.refused', data: { reason } }])
    }
    expect((await reload()).status).toBe(410)
  })
})

describe('both ends: a counter, where the member signs in on the phone', () => {
  async function givenCounter(more: object = {}) {
    const token = await apiToken(server, shop, 'links:begin')
    const { status, json } = await callApi(
      server,
      '/link-counters',
      { connection: 'upstream', ...more },
      { token },
    )
    expect(status).toBe(201)
    const counter = visitor()
    counter.stopAt('https://counter.example.com/')
    const shown = await counter.submit(await counter.open(String(json.url)), '/open')
    return { counter, shown, url: String(json.url), address: await scannedFrom(server, shown) }
  }

  /** Signs in on the phone and comes back from the upstream: what the phone shows then. */
  async function proveOn(phone: Browser, address: string, who: GivenMember): Promise<Page> {
    const signIn = await phone.submit(await phone.open(address), '/join')
    return phone.submit(signIn, '/sign-in', { email: who.email, password: who.password })
  }

  test('the counter types what the phone shows, the member agrees on the phone, and the shop is told', async () => {
    const { counter, shown, address } = await givenCounter({ return_to: shop.redirectUri, state: 'till 3' })
    const phone = visitor()
    const { rows, events } = await changesOf(server, async () => {
      const code = codeOn(await phone.submit(await proveOn(phone, address, member), '/confirm'))
      await counter.submit(await counter.open(shown.url), '/code', { code })
      const consent = await phone.open(address)
      expect(consent.html).toContain('Hana upstream')
      const done = await phone.submit(consent, '/agree')
      expect(done.html).toContain('The account is linked')
    })
    expect(rows).toMatchObject(oneLink)
    const data = { connectionId: 'upstream', way: 'qr_code', clientId: 'counter' }
    expect(events.at(-1)).toMatchObject({ type: 'identity.linked', memberId: member.id, data })
    const end = await counter.open(shown.url)
    expect(Object.fromEntries(end.url.searchParams)).toEqual({ link_result: 'linked', state: 'till 3' })
  })

  test('without the code from the phone nothing is agreed to: the member cannot do it alone', async () => {
    const { address } = await givenCounter()
    const phone = visitor()
    const { result, rows } = await changesOf(server, async () => {
      const proved = await proveOn(phone, address, member)
      await phone.submit(proved, '/confirm')
      const stored = await server.store.get(`qr-door:${digestOf(address)}`)
      const { id } = JSON.parse(stored ?? '{}')
      const { transactionId } = JSON.parse((await server.store.get(`qr:${id}`)) ?? '{}').phone
      return phone.open(`${server.issuer}/link/${transactionId}`)
    })
    expect(result.url.href).toBe(address)
    expect(rows).toEqual({})
  })

  test('a second screen at another counter is refused', async () => {
    const { url } = await givenCounter()
    const { result, ...changes } = await changesOf(server, () => visitor().open(url))
    expect(result.status).toBe(403)
    expect(changes).toEqual(nothing)
  })

  test('the counter never sees whose account it is', async () => {
    const { counter, shown, address } = await givenCounter()
    const phone = visitor()
    await phone.submit(await proveOn(phone, address, member), '/confirm')
    const { html } = await counter.open(shown.url)
    expect(html).toContain('name="code"')
    expect(html).not.toContain('Hana upstream')
    expect(html).not.toContain('Kiku')
  })

  test.each<[string, object, boolean, string]>([
    ['without a token', {}, false, '401 invalid_token'],
    [
      'for a connection that is not the client’s',
      { connection: 'elsewhere' },
      true,
      '404 connection_unavailable',
    ],
    [
      'that leads back to somebody else',
      { return_to: 'https://evil.example/' },
      true,
      '400 redirect_uri_mismatch',
    ],
    ['with a member in it', { member: 'me' }, true, '400 invalid_input'],
  ])('no counter is opened %s', async (_, more, withToken, code) => {
    const token = withToken ? await apiToken(server, shop, 'links:begin') : undefined
    const { result, ...changes } = await changesOf(server, () =>
      callApi(server, '/link-counters', { connection: 'upstream', ...more }, { token }),
    )
    expect(`${result.status} ${result.json.code}`).toBe(code)
    expect(changes).toEqual(nothing)
  })
})

const digestOf = (address: string) => digest(address.split('/').at(-1) ?? '')
