import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { type GivenClient, type GivenMember, givenClient, givenMember } from '../support/given.ts'
import { post, send } from '../support/post.ts'
import { authorize, begin, redeem, relyingParty, signIn } from '../support/relying-party.ts'

let server: TestApp
let shop: GivenClient
let member: GivenMember
beforeAll(async () => {
  server = await startTestApp()
  shop = await givenClient(server, {
    id: 'shop',
    redirectUris: ['https://shop.example.com/callback', 'https://shop.example.com/second'],
  })
  member = await givenMember(server)
})
afterAll(() => server.close())

describe('RFC 6749 section 4.1.2.1: what must not go back to the relying party is shown here', () => {
  test.each([
    ['another host', 'https://evil.example/callback'],
    ['a longer host', 'https://shop.example.com.evil.example/callback'],
    ['a host before the host', 'https://evil.shop.example.com/callback'],
    ['the host as user name', 'https://shop.example.com@evil.example/callback'],
    ['a backslash', 'https://shop.example.com\\@evil.example/callback'],
    ['http', 'http://shop.example.com/callback'],
    ['a script', 'javascript:alert(1)//shop.example.com/callback'],
    ['a port', 'https://shop.example.com:8443/callback'],
    ['the default port spelled out', 'https://shop.example.com:443/callback'],
    ['the case of the host', 'https://SHOP.example.com/callback'],
    ['the case of the path', 'https://shop.example.com/Callback'],
    ['a slash at the end', 'https://shop.example.com/callback/'],
    ['a path above', 'https://shop.example.com/callback/../evil'],
    ['an encoded letter', 'https://shop.example.com/%63allback'],
    ['a query', 'https://shop.example.com/callback?next=https://evil.example'],
    ['a fragment', 'https://shop.example.com/callback#evil'],
    ['a space', 'https://shop.example.com/callback '],
    ['a part of it', 'https://shop.example.com'],
    ['nothing at all', ''],
  ])('RFC 9700 section 2.1: a redirect_uri that differs by %s gets nobody redirected', async (_, uri) => {
    const { url } = await begin(await relyingParty(server, shop), { redirect_uri: uri })
    const answer = await send(url, { headers: { accept: 'text/html' } })
    expect(answer.status).toBe(400)
    expect(answer.headers.location).toBeUndefined()
    expect(answer.headers['content-type']).toMatch(/^text\/html/)
    expect(answer.text).not.toMatch(/(href|src|action|content)="[^"]*evil/)
  })

  test.each([
    ['en', 'Reference for support'],
    ['ja', 'お問い合わせ番号'],
  ])(
    'an unknown client leads to a page in the language %s with the number of the request',
    async (language, label) => {
      const nobody = { id: '"><script>nobody', secret: '', redirectUri: 'https://shop.example.com/callback' }
      const { url } = await begin(await relyingParty(server, nobody))
      const page = await openBrowser(language).open(url)
      expect(page.url.href).toBe(url.href)
      expect(page.status).toBe(400)
      expect(page.html).toContain(`<html lang="${language}">`)
      expect(page.html).toContain(label)
      expect(page.html).toContain(`<code>${page.headers.get('x-request-id')}</code>`)
      expect(page.html).not.toContain('<script>')
    },
  )

  test('an error of the request itself goes to the registered address with the state, never to a page', async () => {
    const { url, state } = await begin(await relyingParty(server, shop), { response_type: 'token' })
    const { headers } = await send(url)
    const target = new URL(String(headers.location))
    expect(target.origin + target.pathname).toBe(shop.redirectUri)
    expect(target.hash + target.search).toContain('unsupported_response_type')
    expect(target.hash + target.search).toContain(state)
  })

  test.each(['client_id', 'redirect_uri', 'state', 'scope', 'response_type', 'code_challenge', 'nonce'])(
    'section 3.1: a second %s is refused',
    async (name) => {
      const { url } = await begin(await relyingParty(server, shop))
      url.searchParams.append(name, 'https://evil.example/')
      const answer = await send(url, { headers: { accept: 'text/html' } })
      const location = String(answer.headers.location ?? '')
      expect(location || answer.text).toContain('invalid_request')
      expect(location).not.toContain('evil')
      if (location) expect(location.startsWith(shop.redirectUri)).toBe(true)
      else expect(answer.status).toBe(400)
    },
  )
})

describe('RFC 6749 section 4.1.3: redeeming a code', () => {
  /** A code, and the token request that redeems it. */
  async function givenCode(parameters: Record<string, string> = {}, who = member) {
    const party = await relyingParty(server, shop)
    const attempt = await begin(party, parameters)
    const callback = await authorize(party, openBrowser(), who, attempt.url)
    const form = {
      grant_type: 'authorization_code',
      code: callback.searchParams.get('code') ?? '',
      redirect_uri: shop.redirectUri,
      code_verifier: attempt.codeVerifier,
    }
    return { party, attempt, callback, form }
  }

  test('section 5.2: a wrong secret is refused and nothing is kept', async () => {
    const { form } = await givenCode()
    const answer = await post(server, '/token', form, { client: { ...shop, secret: 'wrong' } })
    expect([answer.status, answer.json.error]).toEqual([401, 'invalid_client'])
    expect(answer.headers['cache-control']).toContain('no-store')
  })

  test('a code of one client is refused to another', async () => {
    const { form } = await givenCode()
    const stranger = await givenClient(server, { redirectUris: [shop.redirectUri] })
    const answer = await post(server, '/token', form, { client: stranger })
    expect([answer.status, answer.json.error]).toEqual([400, 'invalid_grant'])
  })

  test.each([
    ['another registered one', 'https://shop.example.com/second', 'invalid_grant'],
    ['none', '', 'invalid_request'],
  ])('a code is bound to the redirect_uri it went to: %s is refused', async (_, redirectUri, error) => {
    const { form } = await givenCode()
    const answer = await post(server, '/token', { ...form, redirect_uri: redirectUri }, { client: shop })
    expect([answer.status, answer.json.error]).toEqual([400, error])
  })

  test('section 3.2: a parameter that comes twice is refused', async () => {
    const { form } = await givenCode()
    const twice = [...Object.entries(form), ['code', form.code]] as [string, string][]
    const answer = await post(server, '/token', twice, { client: shop })
    expect([answer.status, answer.json.error]).toEqual([400, 'invalid_request'])
  })

  test('RFC 9700 section 2.4: the password grant is not there', async () => {
    const form = { grant_type: 'password', username: member.email, password: member.password }
    const answer = await post(server, '/token', form, { client: shop })
    expect([answer.status, answer.json.error]).toEqual([400, 'unsupported_grant_type'])
  })

  test('section 4.1.2: a code used a second time is refused and ends every token it gave', async () => {
    const { party, attempt, callback, form } = await givenCode({ scope: 'openid offline_access' })
    const tokens = await redeem(party, callback, attempt)
    const again = await post(server, '/token', form, { client: shop })
    expect([again.status, again.json.error]).toEqual([400, 'invalid_grant'])
    const headers = { authorization: `Bearer ${tokens.access_token}` }
    expect((await send(`${server.issuer}/userinfo`, { headers })).status).toBe(401)
    const refresh = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '' }
    expect((await post(server, '/token', refresh, { client: shop })).json.error).toBe('invalid_grant')
  })

  test('of 50 who redeem one code at once, at two processes, one gets tokens', async () => {
    const peer = await server.startPeer()
    const { form } = await givenCode()
    const origins = [server.issuer, peer.origin]
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        post(server, '/token', form, { client: shop, origin: origins[i % 2] ?? '' }),
      ),
    )
    await peer.close()
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    const [winner] = answers.filter(({ status }) => status === 200)
    const refused = answers.filter(({ status }) => status === 400)
    expect(refused).toHaveLength(49)
    expect(new Set(refused.map(({ json }) => json.error))).toEqual(new Set(['invalid_grant']))
    const headers = { authorization: `Bearer ${winner?.json.access_token}` }
    expect((await send(`${server.issuer}/userinfo`, { headers })).status).toBe(401)
  })

  test('section 4.1.2: of two who redeem one code at once, the loser ends what the winner got', async () => {
    // A loser may come late and see that the code is used, or lose only in the last step: of several, some do either.
    const codes = await Promise.all(
      Array.from({ length: 6 }, () => givenMember(server).then((who) => givenCode({}, who))),
    )
    const answers = await Promise.all(
      [...codes, ...codes].map(({ form }) => post(server, '/token', form, { client: shop })),
    )
    const winners = answers.filter(({ status }) => status === 200)
    expect(winners).toHaveLength(6)
    for (const { json } of winners) {
      const headers = { authorization: `Bearer ${json.access_token}` }
      expect((await send(`${server.issuer}/userinfo`, { headers })).status).toBe(401)
    }
  })

  test('section 5.1: tokens come as JSON that nobody keeps', async () => {
    const { form } = await givenCode()
    const answer = await post(server, '/token', form, { client: shop })
    expect(answer.status).toBe(200)
    expect(answer.headers['cache-control']).toContain('no-store')
    expect(answer.json).toMatchObject({ token_type: 'Bearer', expires_in: 3600, scope: 'openid' })
  })
})

describe('RFC 6749 section 4.1.2: the answer, and what the member decides', () => {
  test.each([
    ['at the sign-in page', /sign-in$/, false],
    ['at the consent page', /consent$/, true],
  ])('a member who cancels %s goes back with access_denied', async (_, path, isSignedIn) => {
    const party = await relyingParty(server, await givenClient(server))
    const browser = openBrowser()
    if (isSignedIn) await signIn(await relyingParty(server, shop), browser, member)
    browser.stopAt(party.redirectUri)
    const { url, state } = await begin(party)
    const page = await browser.open(url)
    expect(page.url.pathname).toMatch(path)
    const { searchParams } = (await browser.submit(page, '/cancel')).url
    expect(searchParams.get('error')).toBe('access_denied')
    expect(searchParams.get('state')).toBe(state)
    expect(searchParams.has('code')).toBe(false)
  })

  test('a state comes back as it was sent', async () => {
    const state = ` a&b=c?#%20+"<script>'/é漢`
    const { url } = await begin(await relyingParty(server, shop), { state })
    const callback = await authorize(shop, openBrowser(), member, url)
    expect(callback.searchParams.get('state')).toBe(state)
  })

  test('consent is remembered, also in another browser: the second authorization shows no consent page', async () => {
    const party = await relyingParty(server, await givenClient(server))
    const browser = openBrowser()
    await signIn(party, browser, member, { scope: 'openid email' })
    const { url } = await begin(party, { scope: 'openid email' })
    expect((await browser.open(url)).url.searchParams.has('code')).toBe(true)

    const other = openBrowser()
    other.stopAt(party.redirectUri)
    const page = await other.open((await begin(party, { scope: 'openid email' })).url)
    const { email, password } = member
    const answer = await other.submit(page, '/sign-in', { email, password })
    expect(answer.url.searchParams.has('code')).toBe(true)
  })

  test('consent of one member is not the consent of another', async () => {
    const party = await relyingParty(server, await givenClient(server))
    await signIn(party, openBrowser(), member)
    const browser = openBrowser()
    const { email, password } = await givenMember(server)
    const page = await browser.open((await begin(party)).url)
    expect((await browser.submit(page, '/sign-in', { email, password })).url.pathname).toMatch(/consent$/)
  })

  test('a request for more asks for what is new, and says which that is', async () => {
    const party = await relyingParty(server, await givenClient(server))
    const browser = openBrowser()
    await signIn(party, browser, member, { scope: 'openid email' })
    const page = await browser.open((await begin(party, { scope: 'openid email profile' })).url)
    expect(page.url.pathname).toMatch(/consent$/)
    expect(page.html.match(/class="fact"/g)).toHaveLength(1)
    const callback = (await browser.submit(page, '/consent')).url
    expect(callback.searchParams.has('code')).toBe(true)
  })

  test('a first-party client asks for no consent', async () => {
    const party = await relyingParty(server, await givenClient(server, { firstParty: true }))
    const browser = openBrowser()
    await signIn(await relyingParty(server, shop), browser, member)
    browser.stopAt(party.redirectUri)
    const { url } = await browser.open((await begin(party, { scope: 'openid email' })).url)
    expect(url.searchParams.has('code')).toBe(true)
  })
})
