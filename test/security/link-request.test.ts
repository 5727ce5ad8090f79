import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type GivenMember, givenClient, givenConnection, givenMember } from '../support/given.ts'
import { answerOf, requestLink } from '../support/link-request.ts'
import { catchCallback, changesOf, signInTo, visitor } from '../support/linking.ts'
import { begin, type RelyingParty, redeem, relyingParty } from '../support/relying-party.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
let party: RelyingParty
let member: GivenMember
beforeAll(async () => {
  server = await startLinkingApp()
  upstream = await givenUpstream(server, { id: 'upstream' })
  party = await givenParty()
})
afterAll(async () => {
  await Promise.all([server.close(), upstream.close()])
})

let count = 0
beforeEach(async () => {
  upstream.behavior.subject = `shopper-${++count}`
  member = await givenMember(server)
})

const wanted = { link_connection: 'upstream' }
async function givenParty(input: Parameters<typeof givenClient>[1] = {}): Promise<RelyingParty> {
  const scopes = ['openid', 'linked_accounts']
  return relyingParty(server, await givenClient(server, { scopes, connections: ['upstream'], ...input }))
}

const unlinked = { rows: {}, events: [] }

describe('a link nobody wanted', () => {
  test('a request alone links nothing: an attacker’s page can open it, the member has to agree', async () => {
    const browser = await signInTo(server, member)
    const changes = await changesOf(server, async () => {
      browser.stopAt(party.redirectUri)
      const page = await browser.open((await begin(party, wanted)).url)
      expect(page.html).toContain('/agree')
      return page
    })
    expect(changes).toMatchObject(unlinked)
  })

  test('a form that agrees, sent from another site, is refused and links nothing', async () => {
    const { browser, page } = await requestLink(party, member, wanted)
    const { result, ...changes } = await changesOf(server, () =>
      browser.request(new URL(`${page.url.href}/agree`), {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'cross-site' },
        body: 'shown=x',
      }),
    )
    expect(result.status).toBe(403)
    expect(changes).toEqual(unlinked)
  })

  test('an attacker’s link page, interaction and callback are nothing in the member’s browser', async () => {
    const attacker = await givenMember(server)
    const theirs = await requestLink(party, attacker, wanted)
    const uid = theirs.browser.cookies().get('hitotsu_interaction')
    const browser = await signInTo(server, member)
    const { result, ...changes } = await changesOf(server, async () => [
      await browser.open(theirs.page.url),
      await browser.open(`${server.issuer}/interaction/${uid}`),
      await browser.open(`${server.issuer}/authorize/${uid}`),
    ])
    expect(result.map(({ status }) => status)).toEqual([403, 400, 400])
    expect(changes).toEqual(unlinked)
    const callback = await catchCallback(server, theirs.browser, 'upstream', async () => {
      const attempt = await begin(party, wanted)
      return theirs.browser.open(attempt.url)
    })
    const swapped = await changesOf(server, () => browser.open(callback))
    expect(swapped.result.status).toBe(400)
    expect(swapped.rows).toEqual({})
    expect(swapped.events).toMatchObject([{ type: 'link.refused', data: { reason: 'state_mismatch' } }])
  })

  test('a connection another client is allowed is not this client’s to ask for', async () => {
    await givenConnection(server, { id: 'others' })
    await givenParty({ connections: ['others'] })
    const before = upstream.requests.length
    const request = await requestLink(party, member, { link_connection: 'others' })
    expect((await answerOf(party, request)).claims.link_result).toBe('failed:connection_unavailable')
    expect(upstream.requests.length).toBe(before)
  })
})

describe('a result that is not this authorization’s', () => {
  test('codes that are swapped between tabs are refused: each is bound to its own verifier', async () => {
    const browser = visitor()
    const first = await requestLink(party, member, wanted, browser)
    const second = await requestLink(party, member, wanted, browser)
    const linked = await browser.submit(first.page, '/agree')
    const one = await browser.submit(linked, '/consent')
    const two = await browser.submit(second.page, '/decline')
    const swapped = new URL(two.url)
    swapped.searchParams.set('state', first.attempt.state)
    await expect(redeem(party, swapped, first.attempt)).rejects.toMatchObject({ error: 'invalid_grant' })
    // The code that was tried wrongly is still its owner's.
    expect((await answerOf(party, { ...first, page: one })).claims.link_result).toBe('linked')
  })

  test('a code gives its result once', async () => {
    const request = await requestLink(party, member, wanted)
    const page = await request.browser.submit(request.page, '/decline')
    const last = await request.browser.submit(page, '/consent')
    const { claims } = await answerOf(party, { ...request, page: last })
    expect(claims.link_result).toBe('declined')
    await expect(redeem(party, last.url, request.attempt)).rejects.toMatchObject({ error: 'invalid_grant' })
  })

  test('an end that is told again tells nothing new: the authorization is over', async () => {
    const request = await requestLink(party, member, wanted)
    const uid = request.browser.cookies().get('hitotsu_interaction')
    const page = await request.browser.submit(request.page, '/decline')
    await answerOf(party, { ...request, page })
    const { result, ...changes } = await changesOf(server, async () => [
      await request.browser.open(request.page.url),
      await request.browser.open(`${server.issuer}/interaction/${uid}`),
    ])
    for (const again of result) expect(again.status).toBe(400)
    expect(changes).toEqual(unlinked)
  })

  test('one link of a client tells another client nothing of how it was made', async () => {
    const other = await givenParty()
    const request = await requestLink(party, member, wanted)
    const page = await request.browser.submit(request.page, '/agree')
    await answerOf(party, { ...request, page })
    const next = await requestLink(other, member, wanted, request.browser)
    expect((await answerOf(other, next)).claims.link_result).toBe('already_linked')
    const plain = await requestLink(other, member, {}, request.browser)
    expect((await answerOf(other, plain)).claims).not.toHaveProperty('link_result')
  })

  test('another member who signs in on the way is not told of the first one’s link', async () => {
    const other = await givenMember(server)
    const request = await requestLink(party, member, wanted)
    const linked = await request.browser.submit(request.page, '/agree')
    expect(linked.url.pathname).toMatch(/\/consent$/)
    // In another tab the member ends all sessions; the request goes on, and somebody else signs in.
    await server.db.member.update({
      where: { id: member.id },
      data: { sessionsValidFrom: new Date(server.now().getTime() + 2000) },
    })
    const form = await request.browser.submit(linked, '/consent')
    expect(form.url.pathname).toMatch(/\/sign-in$/)
    const { email, password } = other
    let page = await request.browser.submit(form, '/sign-in', { email, password })
    // The engine signs the first one out before it lets the other in.
    if (page.url.pathname.includes('/authorize/'))
      page = await request.browser.submit(page, '/sign-out/confirm')
    // The upstream still knows the first one in this browser.
    const kept = await request.browser.submit(page, '/keep')
    const { claims } = await answerOf(party, { ...request, page: kept })
    expect(claims).toMatchObject({ sub: other.id, link_result: 'conflict_kept' })
  })
})

describe('a sign-in that is not enough', () => {
  test('a session of another member, begun in another tab, ends the link and the interaction', async () => {
    const other = await givenMember(server)
    const request = await requestLink(party, member, wanted)
    const uid = request.browser.cookies().get('hitotsu_interaction')
    const away = await request.browser.open(`${server.issuer}/account`)
    request.browser.stopAt(undefined)
    const out = await request.browser.submit(away, '/sign-out')
    await request.browser.submit(out, '/sign-out/confirm', { logout: 'yes' })
    await signInTo(server, other, request.browser)
    const { result, ...changes } = await changesOf(server, async () => [
      await request.browser.submit(request.page, '/agree'),
      await request.browser.open(`${server.issuer}/interaction/${uid}`),
    ])
    for (const { status } of result) expect(status).toBeGreaterThanOrEqual(400)
    expect(changes.rows).toEqual({})
  })
})
