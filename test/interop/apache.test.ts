import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Apache, startApache } from '../support/apache.ts'
import { findApache } from '../support/apache-place.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser, type Page } from '../support/browser.ts'
import { freePort } from '../support/free-port.ts'
import { type GivenClient, type GivenMember, givenClient, givenMember } from '../support/given.ts'
import { relyingParty } from '../support/relying-party.ts'
import { signInFrom } from './at-hitotsu.ts'

/** A site behind Apache, and the client it is. */
interface Site {
  client: GivenClient
  origin: string
  pkce: boolean
}

const place = findApache()
const managersAddress = 'manager@example.com'
const privateHosts: string[] = []
let server: TestApp
let application: Server
let apache: Apache
let sites: Record<'modern' | 'old' | 'unready' | 'mistaken', Site>

beforeAll(async () => {
  if (!place) return
  ;[server, application] = await Promise.all([startTestApp({ privateHosts }), startApplication()])
  sites = {
    modern: await givenSite({ pkce: true }),
    old: await givenSite({ pkce: false, requirePkce: false }),
    unready: await givenSite({ pkce: false }),
    mistaken: await givenSite({ pkce: true, secret: 'the secret of another client' }),
  }
  const all = Object.values(sites)
  const ports = all.map(({ origin }) => Number(new URL(origin).port))
  apache = await startApache(place, ports, all.map(settingsOf).join('\n'))
})
afterAll(async () => {
  application?.close()
  await Promise.all([apache?.stop(), server?.close()])
})

/** The application behind Apache answers with the headers it gets. */
async function startApplication(): Promise<Server> {
  const echo = createServer((request, response) => {
    response.setHeader('content-type', 'application/json').end(JSON.stringify(request.headers))
  }).listen(0, '127.0.0.1')
  await once(echo, 'listening')
  return echo
}

async function givenSite({
  pkce,
  requirePkce = true,
  secret,
}: {
  pkce: boolean
  requirePkce?: boolean
  secret?: string
}): Promise<Site> {
  const host = `127.0.0.1:${await freePort()}`
  privateHosts.push(host)
  const origin = `http://${host}`
  const client = await givenClient(server, {
    requirePkce,
    redirectUris: [`${origin}/members/callback`],
    postLogoutRedirectUris: [`${origin}/bye`],
    metadata: {
      backchannel_logout_uri: `${origin}/members/callback?logout=backchannel`,
      backchannel_logout_session_required: true,
    },
  })
  return { origin, pkce, client: { ...client, ...(secret && { secret }) } }
}

/** What somebody who runs Apache writes. */
function settingsOf({ origin, client, pkce }: Site): string {
  return `
<VirtualHost ${new URL(origin).host}>
  OIDCProviderMetadataURL ${server.issuer}/.well-known/openid-configuration
  OIDCClientID ${client.id}
  OIDCClientSecret "${client.secret}"
  OIDCRedirectURI ${client.redirectUri}
  OIDCCryptoPassphrase ${client.id}
  OIDCScope "openid profile email offline_access"
  OIDCAuthRequestParams prompt=consent
  OIDCRemoteUserClaim sub
  ${pkce ? 'OIDCPKCEMethod S256' : ''}
  ProxyPass / http://127.0.0.1:${(application.address() as AddressInfo).port}/
  <Location /members>
    AuthType openid-connect
    # Browsers say when they navigate; fetch of Node cannot.
    OIDCUnAuthAction auth true
    Require valid-user
  </Location>
  <Location /members/manager>
    Require claim email:${managersAddress}
  </Location>
</VirtualHost>`
}

const knock = (browser: Browser, { origin }: Site, member: GivenMember) =>
  signInFrom(browser, `${origin}/members/`, member)

/** Opens a page for members, signs in and agrees. */
async function enter(browser: Browser, site: Site, member: GivenMember): Promise<Page> {
  return browser.submit(await knock(browser, site, member), '/consent')
}

/** What the application behind Apache got to see. */
const seen = ({ html }: Page) => JSON.parse(html) as Record<string, string>

/** Whether the application was reached, which answers with JSON alone. */
const isInside = ({ headers }: Page) => headers.get('content-type') === 'application/json'

const title = place
  ? 'mod_auth_openidc in Apache'
  : 'mod_auth_openidc in Apache (skipped: it is not on this machine, and npm run setup knows no package of it)'

describe.skipIf(!place)(title, () => {
  test('a client that does not do PKCE is sent back with the reason, unless it was let go without', async () => {
    const page = await knock(openBrowser(), sites.unready, await givenMember(server))
    // 2.4.12 takes `iss` (RFC 9207) of an error for the start of a sign-in; its page says so, the address says ours.
    expect(Object.fromEntries(page.url.searchParams)).toMatchObject({
      error: 'invalid_request',
      error_description: expect.stringMatching(/PKCE/),
    })
    expect(isInside(page)).toBe(false)
  })

  test('who declines at the consent page is sent back with access_denied and not let in', async () => {
    const browser = openBrowser()
    const consent = await knock(browser, sites.modern, await givenMember(server))
    const page = await browser.submit(consent, '/cancel')
    expect(page.url.href).toMatch(`${sites.modern.client.redirectUri}?error=access_denied`)
    expect(isInside(page)).toBe(false)
    expect((await browser.open(`${sites.modern.origin}/members/`)).url.origin).toBe(server.issuer)
  })

  test('a wrong secret lets nobody in', async () => {
    const page = await enter(openBrowser(), sites.mistaken, await givenMember(server))
    expect(isInside(page)).toBe(false)
    expect(await apache.logged()).toMatch(/invalid_client/)
  })

  test('an answer to a request of another browser is not taken', async () => {
    const { modern } = sites
    const browser = openBrowser()
    const consent = await knock(browser, modern, await givenMember(server))
    browser.stopAt(modern.client.redirectUri)
    const { url } = await browser.submit(consent, '/consent')
    expect(url.searchParams.has('code')).toBe(true)
    expect((await openBrowser().open(url)).status).toBe(400)
    browser.stopAt(undefined)
    expect(isInside(await browser.open(url))).toBe(true)
  })

  test.each([
    ['with PKCE', 'modern', 'S256'],
    ['without PKCE, let go without', 'old', null],
  ] as const)('%s: the application behind it sees who the member is', async (_, name, method) => {
    const site = sites[name]
    const [browser, member] = [openBrowser(), await givenMember(server, { name: '鈴木 花子' })]
    const asked = await browser.request(`${site.origin}/members/`)
    const { searchParams } = new URL(asked.headers.get('location') ?? '')
    expect(searchParams.get('code_challenge_method')).toBe(method)

    const page = await enter(browser, site, member)
    expect(page.url.href).toBe(`${site.origin}/members/`)
    const { oidc_claim_name: nameBytes = '', ...claims } = seen(page)
    expect(claims).toMatchObject({
      oidc_claim_iss: server.issuer,
      oidc_claim_aud: site.client.id,
      oidc_claim_sub: member.id,
      oidc_claim_email: member.email,
      oidc_claim_email_verified: '1',
    })
    expect(Buffer.from(nameBytes, 'latin1').toString()).toBe(member.name)
  })

  test('Require claim tells members apart by what userinfo says', async () => {
    const open = async (email?: string) => {
      const browser = openBrowser()
      await enter(browser, sites.old, await givenMember(server, { ...(email && { email }) }))
      return browser.open(`${sites.old.origin}/members/manager`)
    }
    expect((await open()).status).toBe(401)
    const page = await open(managersAddress)
    expect([page.status, seen(page).oidc_claim_email]).toEqual([200, managersAddress])
  })

  test('it refreshes its tokens on demand', async () => {
    const { modern } = sites
    const [browser, member] = [openBrowser(), await givenMember(server)]
    const { oidc_access_token: first = '' } = seen(await enter(browser, modern, member))
    const back = `${modern.origin}/members/`
    const demand = new URLSearchParams({ refresh: back, access_token: first })
    const page = await browser.open(`${modern.client.redirectUri}?${demand}`)
    expect(page.url.href).toBe(back)
    const { oidc_access_token: second = '' } = seen(page)
    expect(second).not.toBe(first)
    const { config } = await relyingParty(server, modern.client)
    expect((await oidc.fetchUserInfo(config, second, member.id)).email).toBe(member.email)
  })

  test('its logout revokes its tokens, and ends the session there and here', async () => {
    const { modern } = sites
    const browser = openBrowser()
    const { oidc_access_token: token = '' } = seen(await enter(browser, modern, await givenMember(server)))
    const demand = new URLSearchParams({ logout: `${modern.origin}/bye` })
    const question = await browser.open(`${modern.client.redirectUri}?${demand}`)
    expect(question.url.origin).toBe(server.issuer)
    const { config } = await relyingParty(server, modern.client)
    const info = oidc.fetchUserInfo(config, token, oidc.skipSubjectCheck)
    await expect(info).rejects.toMatchObject({ status: 401 })

    const page = await browser.submit(question, '/sign-out/confirm', { logout: 'yes' })
    expect(page.url.href).toBe(`${modern.origin}/bye`)
    expect((await browser.open(`${modern.origin}/members/`)).url.pathname).toMatch(/\/sign-in$/)
  })

  test('signing out here ends the session there over the back channel', async () => {
    const { modern } = sites
    const browser = openBrowser()
    await enter(browser, modern, await givenMember(server))
    const account = await browser.open(`${server.issuer}/account`)
    const question = await browser.submit(account, '/account/sign-out')
    expect(isInside(await browser.open(`${modern.origin}/members/`))).toBe(true)

    await browser.submit(question, '/sign-out/confirm', { logout: 'yes' })
    await server.app.dispatcher.drain()
    expect((await browser.open(`${modern.origin}/members/`)).url.pathname).toMatch(/\/sign-in$/)
  })
})
