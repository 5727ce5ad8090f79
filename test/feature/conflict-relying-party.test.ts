import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { givenParty } from '../support/consent.ts'
import { type GivenMember, givenIdentity, givenMember } from '../support/given.ts'
import { answerOf, type LinkRequest, requestLink } from '../support/link-request.ts'
import type { RelyingParty } from '../support/relying-party.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
let party: RelyingParty
beforeAll(async () => {
  server = await startLinkingApp()
  upstream = await givenUpstream(server, { id: 'upstream' })
  party = await givenParty(server, { connections: ['upstream'] })
})
afterAll(() => Promise.all([server.close(), upstream.close()]))

let count = 0
let owner: GivenMember
let claimant: GivenMember
let request: LinkRequest
beforeEach(async () => {
  upstream.behavior.subject = `requested-${++count}`
  owner = await givenMember(server)
  claimant = await givenMember(server)
  await givenIdentity(server, {
    memberId: owner.id,
    connectionId: 'upstream',
    subject: upstream.behavior.subject,
  })
  request = await requestLink(party, claimant, { scope: 'openid', link_connection: 'upstream' })
  expect(request.page.status).toBe(409)
})

const follow = (path: string) => request.browser.open(request.page.url.href + path)
const press = async (path: string, form = request.page) => ({
  ...request,
  page: await request.browser.submit(form, path),
})
const holder = async () =>
  (await server.db.federatedIdentity.findFirst({ where: { subject: `requested-${count}` } }))?.memberId

test('who leaves everything as it is comes back to the relying party, which learns just that', async () => {
  const { claims } = await answerOf(party, await press('/keep'))
  expect(claims).toMatchObject({ sub: claimant.id, link_result: 'conflict_kept' })
  expect(await holder()).toBe(owner.id)
})

test('who moves the account comes back linked', async () => {
  const { claims } = await answerOf(party, await press('/move', await follow('/move')))
  expect(claims).toMatchObject({ sub: claimant.id, link_result: 'linked' })
  expect(await holder()).toBe(claimant.id)
})

test('who merges and goes on comes back linked', async () => {
  const { claims } = await answerOf(party, await press('/merge', await follow('/merge')))
  expect(claims).toMatchObject({ sub: claimant.id, link_result: 'linked' })
  expect(await holder()).toBe(claimant.id)
})

test('who merges into the other member signs in as that one, and comes back linked', async () => {
  const after = await press('/merge', await follow('/merge?survivor=owner'))
  expect(after.page.url.pathname).toMatch(/\/sign-in$/)
  const { email, password } = owner
  const signedIn = await request.browser.submit(after.page, '/sign-in', { email, password })
  const page = signedIn.html.includes('/sign-out/confirm')
    ? await request.browser.submit(signedIn, '/sign-out/confirm')
    : signedIn
  const { claims } = await answerOf(party, { ...request, page })
  expect(claims).toMatchObject({ sub: owner.id })
  expect(claims.link_result).toMatch(/^(already_)?linked$/)
  expect(await holder()).toBe(owner.id)
})
