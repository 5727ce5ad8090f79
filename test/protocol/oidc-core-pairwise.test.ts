import { decodeJwt } from 'jose'
import type { Client } from 'oidc-provider'
import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { memberOfSubject, memberSubjects } from '../../src/oidc/subject.ts'
import { systemRandom } from '../../src/security/random.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser } from '../support/browser.ts'
import { type GivenMember, givenClient, givenMember, givenResource } from '../support/given.ts'
import { type LogoutReceiver, startLogoutReceiver } from '../support/logout-receiver.ts'
import { post } from '../support/post.ts'
import { authorize, begin, type RelyingParty, relyingParty, signIn } from '../support/relying-party.ts'

let server: TestApp
let receiver: LogoutReceiver
let member: GivenMember
beforeAll(async () => {
  receiver = await startLogoutReceiver()
  server = await startTestApp({ privateHosts: [receiver.host] })
  member = await givenMember(server)
})
afterAll(() => Promise.all([server.close(), receiver.close()]))

let hosts = 0
const newHost = () => `rp-${++hosts}.example.com`

/** A relying party that knows members by names of its own host's; `input` goes on top. */
async function givenPairwise(host = newHost(), input: Parameters<typeof givenClient>[1] = {}) {
  const client = await givenClient(server, {
    redirectUris: [`https://${host}/callback`],
    metadata: { subject_type: 'pairwise' },
    ...input,
  })
  return relyingParty(server, client)
}

async function subjectAt(party: RelyingParty, who = member, browser = openBrowser()): Promise<string> {
  return (await signIn(party, browser, who)).claims()?.sub ?? ''
}

async function ask(party: RelyingParty, browser: Browser, parameters: Record<string, string>) {
  browser.stopAt(party.redirectUri)
  return browser.open((await begin(party, parameters)).url)
}

const wanting = (sub: string) => ({ claims: JSON.stringify({ id_token: { sub: { value: sub } } }) })

describe('OpenID Connect Core 1.0 section 8: who asks for a member by a name', () => {
  test.each<[string, (names: { other: string; elsewhere: string }) => string]>([
    ["of another member's", ({ other }) => other],
    ['that the member has in another sector', ({ elsewhere }) => elsewhere],
    ['that is the member ID', () => member.id],
    ['that nobody has', () => 'nobody'],
  ])('one %s gets nobody (claims parameter, section 5.5.1)', async (_, choose) => {
    const [party, another] = [await givenPairwise(), await givenPairwise()]
    const browser = openBrowser()
    await subjectAt(party, member, browser)
    const names = {
      other: await subjectAt(party, await givenMember(server)),
      elsewhere: await subjectAt(another, member, browser),
    }
    const { url } = await ask(party, browser, { ...wanting(choose(names)), prompt: 'none' })
    expect(url.searchParams.get('error')).toBe('login_required')
  })

  test("another member's ID token gets nobody, before and after the sign-in (id_token_hint, section 3.1.2.1)", async () => {
    const party = await givenPairwise()
    const other = await givenMember(server)
    const { id_token = '' } = await signIn(party, openBrowser(), other)
    const browser = openBrowser()
    await subjectAt(party, member, browser)
    const silent = await ask(party, browser, { id_token_hint: id_token, prompt: 'none' })
    expect(silent.url.searchParams.get('error')).toBe('login_required')

    const page = await ask(party, browser, { id_token_hint: id_token })
    expect(page.url.pathname).toMatch(/sign-in$/)
    const { email, password } = member
    const { url } = await browser.submit(page, '/sign-in', { email, password })
    expect(url.searchParams.get('error')).toBe('login_required')
    expect(url.searchParams.has('code')).toBe(false)
  })

  test('its own name for the member gets the member, with and without a page', async () => {
    const party = await givenPairwise()
    const browser = openBrowser()
    const { id_token = '', claims } = await signIn(party, browser, member)
    for (const parameters of [{ id_token_hint: id_token }, wanting(claims()?.sub ?? '')]) {
      const { url } = await ask(party, browser, { ...parameters, prompt: 'none' } as Record<string, string>)
      expect(url.searchParams.has('code')).toBe(true)
    }
    const attempt = await begin(party, { id_token_hint: id_token })
    const callback = await authorize(party, openBrowser(), member, attempt.url)
    expect(callback.searchParams.has('code')).toBe(true)
  })
})

describe('OpenID Connect Core 1.0 section 8.1: what the name is', () => {
  test('the member ID reaches such a client nowhere', async () => {
    const api = await givenResource(server)
    const party = await givenPairwise(newHost(), {
      resources: [{ id: api }],
      metadata: { subject_type: 'pairwise', userinfo_signed_response_alg: 'ES256' },
    })
    const attempt = await begin(party, { resource: api, scope: 'openid profile offline_access orders:read' })
    const callback = await authorize(party, openBrowser(), member, attempt.url)
    const { json } = await post(
      server,
      '/token',
      {
        grant_type: 'authorization_code',
        code: callback.searchParams.get('code') ?? '',
        redirect_uri: party.redirectUri,
        code_verifier: attempt.codeVerifier,
      },
      { client: party },
    )
    const { sub } = decodeJwt(String(json.id_token))
    const refresh = { grant_type: 'refresh_token', refresh_token: String(json.refresh_token), resource: api }
    const refreshed = await post(server, '/token', refresh, { client: party })
    const userinfo = await fetch(`${server.issuer}/userinfo`, {
      headers: { authorization: `Bearer ${json.access_token}` },
    }).then((answer) => answer.text())
    const about = await oidc.tokenIntrospection(party.config, String(json.access_token))
    const told = [
      decodeJwt(String(refreshed.json.access_token)),
      decodeJwt(String(refreshed.json.id_token)),
      decodeJwt(userinfo),
      about,
      await oidc.tokenIntrospection(party.config, String(refreshed.json.refresh_token)),
    ]
    expect(told.map((claims) => claims.sub)).toEqual(told.map(() => sub))
    expect(JSON.stringify([callback.href, ...told])).not.toContain(member.id)
  })

  test('a logout token says it as well', async () => {
    const uri = receiver.uri('pairwise')
    const party = await givenPairwise(newHost(), {
      firstParty: true,
      metadata: { subject_type: 'pairwise', backchannel_logout_uri: uri },
    })
    const browser = openBrowser()
    const subject = await subjectAt(party, member, browser)
    const account = await browser.open(`${server.issuer}/account`)
    const page = await browser.submit(account, '/account/sign-out')
    await browser.submit(page, '/sign-out/confirm', { logout: 'yes' })
    await server.app.dispatcher.drain()
    expect(receiver.at('pairwise').map(({ claims }) => claims.sub)).toEqual([subject])
  })

  test('clients of one host share it; other hosts, other members and other kinds of client do not', async () => {
    const host = newHost()
    const [first, second] = [await givenPairwise(host), await givenPairwise(host)]
    const subject = await subjectAt(first)
    expect(await subjectAt(second)).toBe(subject)
    const others = [
      await subjectAt(await givenPairwise()),
      await subjectAt(await givenPairwise(`${host}:8443`)),
      await subjectAt(first, await givenMember(server)),
      await subjectAt(await relyingParty(server, await givenClient(server))),
    ]
    expect(new Set([subject, ...others]).size).toBe(5)
    expect(others.at(-1)).toBe(member.id)
  })

  test('a sector_identifier_uri makes one sector of several hosts', async () => {
    const metadata = {
      subject_type: 'pairwise',
      sector_identifier_uri: `https://${newHost()}/redirect-uris.json`,
    }
    const [first, second] = [
      await givenPairwise(newHost(), { metadata }),
      await givenPairwise(newHost(), { metadata }),
    ]
    expect(await subjectAt(second)).toBe(await subjectAt(first))
  })

  test('it is random, and no longer than a name may be (section 2)', async () => {
    const subject = await subjectAt(await givenPairwise())
    expect(subject).toMatch(/^[\w-]{22}$/)
  })

  test('of any number of first sign-ins at once, all give the same', async () => {
    const client = { subjectType: 'pairwise', sectorIdentifier: newHost() } as unknown as Client
    const { id } = await givenMember(server)
    const askers = Array.from({ length: 12 }, () => memberSubjects(server, systemRandom))
    const subjects = await Promise.all(askers.map((find) => find(client, id)))
    expect(new Set(subjects.map(({ sub }) => sub)).size).toBe(1)
  })

  test('a name leads back to the member in its own sector, and in no other', async () => {
    const [client, moved] = [newHost(), newHost()].map(
      (sectorIdentifier) => ({ subjectType: 'pairwise', sectorIdentifier }) as unknown as Client,
    ) as [Client, Client]
    const { sub: subject } = await memberSubjects(server, systemRandom)(client, member.id)
    expect(await memberOfSubject(server.db, moved, subject)).toBeUndefined()
    expect(await memberOfSubject(server.db, client, subject)).toBe(member.id)
  })

  test('it hangs on no key: with other cookie keys it is the same', async () => {
    const party = await givenPairwise()
    const subject = await subjectAt(party)
    await server.restartAs({ COOKIE_KEYS: ['another key of at least 32 characters'] })
    expect(await subjectAt(party)).toBe(subject)
  })
})
