import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { enableConnection } from '../../src/connections/connection.ts'
import { addStatedLink } from '../../src/linking/management/add-link.ts'
import { inTransaction } from '../../src/store/db.ts'
import type { Browser } from '../support/browser.ts'
import { type GivenMember, givenClient, givenDraft, givenMember } from '../support/given.ts'
import { answerOf, requestLink } from '../support/link-request.ts'
import { changesOf, linkThrough, signInTo, visitor } from '../support/linking.ts'
import { post } from '../support/post.ts'
import { begin, relyingParty } from '../support/relying-party.ts'
import { startUpstreamProvider, type UpstreamProvider } from '../support/upstream-provider.ts'
import { startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
const secret = 'a secret of one test'
beforeAll(async () => {
  server = await startLinkingApp()
  upstream = await startUpstreamProvider({
    clients: [
      {
        client_id: 'hitotsu',
        client_secret: secret,
        redirect_uris: [`${server.issuer}/connections/draft/callback`],
      },
    ],
  })
  server.privateHosts.push(new URL(upstream.issuer).host)
  await givenDraft(server, { id: 'draft', issuer: upstream.issuer, clientSecret: secret })
})
afterAll(async () => {
  await Promise.all([server.close(), upstream.close()])
})

let member: GivenMember
let browser: Browser
beforeEach(async () => {
  upstream.requests.length = 0
  member = await givenMember(server)
  browser = await signInTo(server, member)
})

describe('through a connection that nobody has enabled yet', () => {
  test('nobody links from the account page, where it is not shown', async () => {
    const account = await browser.open(`${server.issuer}/account`)
    expect(account.html).not.toContain('/connections/draft/')
    const { result, ...changes } = await changesOf(server, () =>
      pressAnyway('/account/connections/draft/link'),
    )
    expect(result).toBe(404)
    expect(changes).toEqual({ rows: {}, events: [] })
  })

  test('nobody signs in, even straight to it', async () => {
    const stranger = visitor()
    const form = await stranger.open(`${server.issuer}/account`)
    expect(form.html).not.toContain('/connections/draft"')
    const party = await relyingParty(server, await givenClient(server))
    const { url } = await begin(party, { connection: 'draft' })
    const page = await stranger.open(url)
    expect(page.url.pathname).toMatch(/sign-in$/)
    expect(upstream.requests).toEqual([])
  })

  test('no relying party has a member link', async () => {
    const scopes = ['openid', 'linked_accounts']
    const party = await relyingParty(server, await givenClient(server, { scopes, connections: ['draft'] }))
    const { claims } = await answerOf(party, await requestLink(party, member, { link_connection: 'draft' }))
    expect(claims.link_result).toBe('failed:connection_unavailable')
    expect(upstream.requests).toEqual([])
  })

  test('no application gets tokens for an ID token of it', async () => {
    const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange'
    const client = await givenClient(server, {
      connections: ['draft'],
      firstParty: true,
      metadata: { grant_types: ['authorization_code', exchange] },
    })
    const form = {
      grant_type: exchange,
      subject_token: await upstream.mintIdToken(),
      subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
      connection: 'draft',
    }
    const { status, json } = await post(server, '/token', form, { client })
    expect([status, json.error, json.error_description]).toEqual([
      ...[400, 'invalid_request'],
      expect.stringContaining('connection'),
    ])
  })

  test('no operator states a link, and no list brings one', async () => {
    const stated = {
      ...{ memberId: member.id, connectionId: 'draft', subject: randomUUID() },
      ...{ agreedAt: server.now(), termsVersion: '1', statement: 'agreed on paper' },
    }
    for (const way of ['management', 'import'] as const)
      expect(
        await addStatedLink(
          { db: server.db, vault: { sealer: server.sealer } },
          stated,
          { way },
          server.now(),
        ),
      ).toBe('connection_unavailable')
  })

  test('an answer of the upstream links nothing', async () => {
    const { result, rows } = await changesOf(server, () =>
      browser.open(`${server.issuer}/connections/draft/callback?code=c&state=${'s'.repeat(43)}`),
    )
    expect(result.status).toBe(400)
    expect(rows).toEqual({})
    expect(upstream.requests).toEqual([])
  })
})

test('the control: once it is enabled, the same member links it', async () => {
  await inTransaction(server.db, (tx) => enableConnection(tx, 'draft', server.now()))
  await linkThrough(server, browser, 'draft')
  expect(await server.db.federatedIdentity.count({ where: { memberId: member.id } })).toBe(1)
})

/** As a form of ours would, from the page's own token. */
async function pressAnyway(action: string): Promise<number> {
  const { html } = await browser.open(`${server.issuer}/account/profile`)
  const [, token = ''] = /name="_csrf" value="([^"]+)"/.exec(html) ?? []
  const response = await browser.request(server.issuer + action, {
    method: 'POST',
    body: new URLSearchParams({ _csrf: token }),
    headers: { origin: server.issuer, 'sec-fetch-site': 'same-origin' },
  })
  return response.status
}
