import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Browser, Page } from '../support/browser.ts'
import { givenAllowed, givenParty } from '../support/consent.ts'
import { type GivenMember, givenIdentity, givenMember } from '../support/given.ts'
import { changesOf, pressLink, signInTo, typesOf } from '../support/linking.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
let linkOnly: UpstreamProvider
beforeAll(async () => {
  server = await startLinkingApp()
  upstream = await givenUpstream(server, { id: 'upstream' })
  linkOnly = await givenUpstream(server, { id: 'link-only' })
  await server.db.connection.update({ where: { id: 'link-only' }, data: { allowSignIn: false } })
})
afterAll(async () => {
  await Promise.all([server.close(), upstream.close(), linkOnly.close()])
})

let count = 0
let owner: GivenMember
let claimant: GivenMember
let browser: Browser
beforeEach(async () => {
  count += 1
  for (const one of [upstream, linkOnly]) one.behavior.subject = `merged-${count}`
  owner = await givenMember(server, { name: 'Hanako Owner' })
  claimant = await givenMember(server, { name: 'Hanako Claimant' })
  browser = await signInTo(server, claimant)
})

const nothing = { rows: {}, events: [] }
const textOf = ({ html }: Page) => html.replace(/<[^>]+>/g, '')

async function openConflictPage(connectionId = 'upstream'): Promise<Page> {
  const subject = `merged-${count}`
  await givenIdentity(server, { memberId: owner.id, connectionId, subject })
  return pressLink(server, browser, connectionId)
}

const follow = (page: Page, path: string) => browser.open(page.url.href + path)
const holder = () => server.db.federatedIdentity.findFirst({ where: { subject: `merged-${count}` } })
const statusOf = async ({ id }: GivenMember) =>
  (await server.db.member.findUniqueOrThrow({ where: { id } })).status

describe('merging', () => {
  test('makes one of the two, in which the member who is signed in goes on', async () => {
    const page = await openConflictPage()
    const preview = await follow(page, '/merge')
    expect(textOf(preview)).toContain(owner.email)
    const { result, ...changes } = await changesOf(server, () => browser.submit(preview, '/merge'))
    expect(result.html).toContain('The two member IDs are now one.')
    expect(await statusOf(owner)).toBe('absorbed')
    expect(await statusOf(claimant)).toBe('active')
    expect((await holder())?.memberId).toBe(claimant.id)
    expect(changes.rows.Merge).toBe('+1')
    const types = typesOf({ result, ...changes })
    expect(types).toContain('member.merged')
    expect(types.slice(-2)).toEqual(['link.conflict_decided', 'link.conflict_decided'])
    const merge = await server.db.merge.findFirstOrThrow({ where: { survivorId: claimant.id } })
    expect(merge).toMatchObject({ absorbedId: owner.id, decidedBy: 'member' })
    const conflict = await server.db.linkConflict.findFirstOrThrow({ where: { claimantId: claimant.id } })
    expect(conflict).toMatchObject({ ownerId: owner.id, outcome: 'merged', decidedBy: 'member', open: null })
  })

  test('can let the owner go on instead, as whom the member then signs in', async () => {
    const preview = await follow(await openConflictPage(), '/merge?survivor=owner')
    expect(preview.html).toContain('Please sign in to the remaining member ID')
    const after = await browser.submit(preview, '/merge')
    expect(after.url.pathname).toMatch(/sign-in$/)
    expect(await statusOf(claimant)).toBe('absorbed')
    const { email, password } = owner
    // The engine ends the absorbed member's session by a page that sends itself.
    const change = await browser.submit(after, '/sign-in', { email, password })
    const account = await browser.submit(change, '/sign-out/confirm')
    expect(account.html).toContain('The two member IDs are now one.')
    expect(textOf(account)).toContain(owner.id)
  })

  test('shows what comes over, and what the services are called', async () => {
    const party = await givenParty(server)
    await givenAllowed(party, owner, { scope: 'openid email' })
    const preview = await follow(await openConflictPage(), '/merge')
    const { name } = await server.db.client.findUniqueOrThrow({ where: { id: party.id } })
    expect(textOf(preview)).toContain((name as { en: string }).en)
  })

  test('shows again what has changed since it was shown', async () => {
    const preview = await follow(await openConflictPage(), '/merge')
    await server.db.member.update({ where: { id: claimant.id }, data: { nickname: 'Hana' } })
    const { result, ...changes } = await changesOf(server, () => browser.submit(preview, '/merge'))
    expect(result.html).toContain('Merge the two')
    expect(changes).toEqual(nothing)
  })

  test('the one way round is not agreed to by the page of the other', async () => {
    const preview = await follow(await openConflictPage(), '/merge')
    const { result, ...changes } = await changesOf(server, () =>
      browser.submit(preview, '/merge', { survivor: 'owner' }),
    )
    expect(result.html).toContain('Please sign in to the remaining member ID')
    expect(changes).toEqual(nothing)
  })

  test.each([
    ['a survivor that is neither', { survivor: 'somebody' }, 400],
    ['a digest of another page', { shown: 'A'.repeat(43) }, 200],
    ['no digest', { shown: '' }, 200],
  ])('with %s does nothing', async (_, fields, status) => {
    const preview = await follow(await openConflictPage(), '/merge')
    const { result, ...changes } = await changesOf(server, () => browser.submit(preview, '/merge', fields))
    expect(result.status).toBe(status)
    expect(changes).toEqual(nothing)
  })

  test.each(['suspended', 'deleted'] as const)(
    'with an owner who is %s meanwhile does nothing',
    async (status) => {
      const preview = await follow(await openConflictPage(), '/merge')
      await server.db.member.update({ where: { id: owner.id }, data: { status } })
      const { rows } = await changesOf(server, () => browser.submit(preview, '/merge'))
      expect(rows).toEqual({})
    },
  )

  test('of a side that is not proved is refused, whatever form is sent', async () => {
    const page = await openConflictPage('link-only')
    const form = page.html.replace(/action="[^"]+\/keep"/, `action="${page.url.pathname}/merge"`)
    for (const survivor of ['claimant', 'owner']) {
      const { result, ...changes } = await changesOf(server, () =>
        browser.submit({ ...page, html: form }, '/merge', { survivor, shown: 'A'.repeat(43) }),
      )
      expect(result.url.pathname).toBe(page.url.pathname)
      expect(textOf(result)).not.toContain(owner.id)
      expect(changes).toEqual(nothing)
    }
  })

  test('is offered where the account is the last way in of the owner, who does not go without', async () => {
    await server.db.passwordCredential.delete({ where: { memberId: owner.id } })
    const page = await openConflictPage()
    expect(page.html).not.toContain('/move"')
    await browser.submit(await follow(page, '/merge'), '/merge')
    expect((await holder())?.memberId).toBe(claimant.id)
  })
})

describe('of what is decided at once', () => {
  test.each([1, 2, 3])('moving and merging, in two tabs and two processes, one happens (%i)', async () => {
    const peer = await server.startPeer()
    const page = await openConflictPage()
    const [move, merge] = [await follow(page, '/move'), await follow(page, '/merge')]
    const changes = await changesOf(server, () =>
      Promise.all([
        browser.submit(move, '/move'),
        browser.request(`${peer.origin}${page.url.pathname}/merge`, {
          method: 'POST',
          body: fieldsOf(merge, '/merge'),
          headers: { host: page.url.host, origin: page.url.origin, 'sec-fetch-site': 'same-origin' },
        }),
      ]),
    )
    await peer.close()
    const moved = typesOf(changes).includes('identity.moved')
    const merged = typesOf(changes).includes('member.merged')
    expect([moved, merged].filter(Boolean)).toHaveLength(1)
    expect(typesOf(changes).filter((type) => type === 'link.conflict_decided')).toHaveLength(2)
  })

  test('a merge that is pressed ten times happens once', async () => {
    const preview = await follow(await openConflictPage(), '/merge')
    const changes = await changesOf(server, () =>
      Promise.all(Array.from({ length: 10 }, () => browser.submit(preview, '/merge'))),
    )
    expect(changes.rows.Merge).toBe('+1')
    for (const { status } of changes.result) expect(status).toBeLessThan(500)
  })

  test.each([
    ['move', 'move'],
    ['merge', 'merge'],
    ['move', 'merge'],
  ])(
    'by two claimants of one account, one %s and one %s, one happens and the other is shown how it is now',
    async (first, second) => {
      const rival = await givenMember(server, { name: 'Hanako Rival' })
      const rivals = await signInTo(server, rival)
      const page = await openConflictPage()
      const theirs = await pressLink(server, rivals, 'upstream')
      const mine = await follow(page, `/${first}`)
      const others = await rivals.open(`${theirs.url.href}/${second}`)
      const changes = await changesOf(server, () =>
        Promise.all([browser.submit(mine, `/${first}`), rivals.submit(others, `/${second}`)]),
      )
      const ends = typesOf(changes).filter((type) => type === 'identity.moved' || type === 'member.merged')
      expect(ends).toHaveLength(1)
      for (const { status } of changes.result) expect(status).toBeLessThan(500)
      const winner = (await holder())?.memberId
      expect([claimant.id, rival.id]).toContain(winner)
      // Whoever came second claims it from whoever has it now.
      expect(changes.result.filter(({ status }) => status === 409)).toHaveLength(1)
    },
  )

  test('a move and an unlink by the owner, one happens', async () => {
    const owners = await signInTo(server, owner)
    const page = await openConflictPage()
    const move = await follow(page, '/move')
    const unlink = await owners.open(`${server.issuer}/account/connections/upstream/unlink`)
    const changes = await changesOf(server, () =>
      Promise.all([browser.submit(move, '/move'), owners.submit(unlink, '/unlink')]),
    )
    const ends = typesOf(changes).filter((type) => type === 'identity.moved' || type === 'identity.unlinked')
    expect(ends).toHaveLength(1)
    for (const { status } of changes.result) expect(status).toBeLessThan(500)
  })

  test('two members who claim an account of each other, and merge, become one', async () => {
    const owners = await signInTo(server, owner)
    const page = await openConflictPage()
    await givenIdentity(server, { memberId: claimant.id, connectionId: 'upstream', subject: `own-${count}` })
    upstream.behavior.subject = `own-${count}`
    const account = await owners.open(`${server.issuer}/account`)
    const html = account.html.replace('/connections/link-only/link"', '/connections/upstream/link"')
    const theirs = await owners.submit({ ...account, html }, '/connections/upstream/link')
    const mine = await follow(page, '/merge')
    const others = await owners.open(`${theirs.url.href}/merge`)
    const changes = await changesOf(server, () =>
      Promise.all([browser.submit(mine, '/merge'), owners.submit(others, '/merge')]),
    )
    expect(changes.rows.Merge).toBe('+1')
    expect([await statusOf(owner), await statusOf(claimant)].sort()).toEqual(['absorbed', 'active'])
    for (const { status } of changes.result) expect(status).toBeLessThan(500)
  })
})

function fieldsOf({ html }: Page, action: string): URLSearchParams {
  const form =
    (html.match(/<form\b[\s\S]*?<\/form>/g) ?? []).find((text) => text.includes(`${action}"`)) ?? ''
  const fields = form.matchAll(/name="([^"]+)" value="([^"]*)"/g)
  return new URLSearchParams([...fields].map(([, name = '', value = '']) => [name, value]))
}
