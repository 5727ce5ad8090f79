import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openBrowser } from '../support/browser.ts'
import { givenCampaign, givenClient, givenConnection, givenIdentity, givenMember } from '../support/given.ts'
import { changesOf, signInTo, visitor } from '../support/linking.ts'
import { startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
beforeAll(async () => {
  server = await startLinkingApp()
  await givenConnection(server, { id: 'line', name: { ja: 'LINE', en: 'LINE' } })
  await givenClient(server, {
    id: 'shop',
    connections: ['line'],
    clientUri: 'https://shop.example.com/',
  })
})
afterAll(() => server.close())

const scriptUrl = (query = '?client=shop&connection=line') => `${server.issuer}/link-prompt.js${query}`
const shownUrl = (query = '?client=shop&connection=line') => `${server.issuer}/link-prompt/shown${query}`
const shown = (address: string, url = shownUrl()) =>
  openBrowser('en', address).request(url, { method: 'POST', headers: { origin: 'https://shop.example.com' } })
const recorded = async () => {
  const events = await server.db.event.findMany({ where: { type: 'link.prompted' }, select: { data: true } })
  return events.map(({ data }) => data)
}

/** A member in the given state, and what a page of another site gets with their cookies. */
async function membersInEveryState() {
  const [plain, linked, dismissed] = await Promise.all([1, 2, 3].map(() => givenMember(server)))
  if (!plain || !linked || !dismissed) throw new Error('three members')
  await givenIdentity(server, { memberId: linked.id, connectionId: 'line' })
  await server.db.linkPrompt.create({
    data: {
      ...{ memberId: dismissed.id, connectionId: 'line' },
      lastShownAt: server.now(),
      dismissedAt: server.now(),
    },
  })
  return Promise.all([plain, linked, dismissed].map((member) => signInTo(server, member)))
}

describe('a page that loads the script learns nothing of who looks at it', () => {
  test('the answer is the same for everybody, may be cached, and leaves no cookie', async () => {
    const browsers = [visitor(), ...(await membersInEveryState())]
    const answers = await Promise.all(browsers.map((browser) => browser.request(scriptUrl())))
    const seen = await Promise.all(
      answers.map(async (answer) => {
        const headers = Object.fromEntries(answer.headers)
        for (const own of ['x-request-id', 'date']) delete headers[own]
        return { status: answer.status, headers, body: await answer.text() }
      }),
    )
    expect(new Set(seen.map((it) => JSON.stringify(it))).size).toBe(1)
    expect(seen[0]?.status).toBe(200)
    expect(seen[0]?.headers).toMatchObject({
      'cache-control': 'public, max-age=60, stale-while-revalidate=600',
      'content-type': 'text/javascript; charset=utf-8',
      'access-control-allow-origin': '*',
      'cross-origin-resource-policy': 'cross-origin',
      'x-content-type-options': 'nosniff',
    })
    expect(seen[0]?.headers).not.toHaveProperty('set-cookie')
    expect(seen[0]?.headers).not.toHaveProperty('vary')
    expect(seen[0]?.headers).not.toHaveProperty('access-control-allow-credentials')
  })

  test('nor one that fetches, frames or embeds the prompt: it may not read it, show it, or hold its window', async () => {
    for (const browser of await membersInEveryState()) {
      const answer = await browser.request(`${server.issuer}/prompt?client=shop&connection=line`, {
        headers: { origin: 'https://evil.example' },
      })
      expect(answer.headers.get('access-control-allow-origin')).toBeNull()
      expect(answer.headers.get('x-frame-options')).toBe('DENY')
      expect(answer.headers.get('cross-origin-opener-policy')).toBe('same-origin')
      expect(answer.headers.get('cache-control')).toBe('no-store')
      expect(answer.headers.get('referrer-policy')).toBe('no-referrer')
    }
  })

  test('nor does the relying party, from where the browser goes: linked or not, a page is shown', async () => {
    const [plain, linked] = await membersInEveryState()
    const places = await Promise.all(
      [plain, linked].map(async (browser) => {
        const answer = await browser?.request(`${server.issuer}/prompt?client=shop&connection=line`)
        return answer?.headers.get('location')
      }),
    )
    expect(places).toEqual([
      '/prompt/offer?client=shop&connection=line',
      '/prompt/offer?client=shop&connection=line',
    ])
  })

  test('the script without a query never changes, so that its page can name its digest', async () => {
    const digests = await Promise.all(
      [1, 2].map(async () => {
        const text = await (await openBrowser().request(scriptUrl(''))).text()
        return createHash('sha384').update(text).digest('base64')
      }),
    )
    expect(digests[0]).toBe(digests[1])
    await givenCampaign(server, { connectionId: 'line' })
    const text = await (await openBrowser().request(scriptUrl(''))).text()
    expect(createHash('sha384').update(text).digest('base64')).toBe(digests[0])
    expect(await (await openBrowser().request(scriptUrl())).text()).toContain('"100 points"')
  })
})

test('a name that looks like markup or script stays a name', async () => {
  const name = `</script><b>$& "'\u2028\\`
  await givenConnection(server, { id: 'odd', name: { ja: name, en: name } })
  await server.db.clientConnection.create({ data: { clientId: 'shop', connectionId: 'odd' } })
  const text = await (await openBrowser().request(scriptUrl('?client=shop&connection=odd'))).text()
  expect(text).not.toMatch(/<\/script|\u2028/)
  const told = /\(document\.currentScript, (.*)\)\s*$/.exec(text)?.[1] ?? ''
  expect(JSON.parse(told).name.en).toBe(name)
})

describe('whatever a stranger says of the script', () => {
  test.each([
    ['?client=nobody&connection=line', 404],
    ['?client=shop&connection=nothing', 404],
    ['?client=shop', 404],
    ['?client=shop&client=shop&connection=line', 404],
    [`?client=${'a'.repeat(300)}&connection=line`, 404],
  ])('%s is refused in plain text, without a cookie', async (query, status) => {
    const answer = await visitor().request(scriptUrl(query))
    expect([answer.status, answer.headers.get('set-cookie')]).toEqual([status, null])
  })

  test('showings of what there is not are answered alike, and not counted', async () => {
    const before = await recorded()
    for (const query of ['?client=nobody&connection=line', '?client=shop&connection=nothing', ''])
      expect((await shown('203.0.113.1', shownUrl(query))).status).toBe(204)
    expect(await recorded()).toEqual(before)
  })

  test('one source adds twenty showings an hour, and is told nothing of it', async () => {
    const before = (await recorded()).length
    const statuses: number[] = []
    for (let at = 0; at < 30; at += 1) statuses.push((await shown('203.0.113.2')).status)
    expect(new Set(statuses)).toEqual(new Set([204]))
    expect((await recorded()).length - before).toBe(20)
  })

  test('many sources fill the table by tens, and the funnel counts them all', async () => {
    const client = await givenClient(server, { id: 'flooded', connections: ['line'] })
    const url = shownUrl(`?client=${client.id}&connection=line`)
    for (let at = 0; at < 120; at += 1) await shown(`198.51.100.${at}`, url)
    const own = (await recorded()).filter((data) => (data as { clientId?: string }).clientId === client.id)
    expect(own).toHaveLength(102)
    const sum = own.reduce<number>((all, data) => all + ((data as { shown?: number }).shown ?? 1), 0)
    expect(sum).toBe(120)
  })

  test('the prompt itself is refused to a source that asks too often', async () => {
    const browser = openBrowser('en', '203.0.113.3')
    const ask = () => browser.request(`${server.issuer}/prompt?client=shop&connection=line`)
    for (let at = 0; at < 60; at += 1) await ask()
    const { status, headers } = await ask()
    expect([status, Number(headers.get('retry-after')) > 0]).toEqual([429, true])
  })
})

describe('the way back', () => {
  test.each([
    'https://evil.example/',
    '//evil.example/',
    'https://shop.example.com@evil.example/',
    'javascript:alert(1)',
  ])('is never %j, at any step', async (place) => {
    const browser = await signInTo(server, await givenMember(server))
    const query = new URLSearchParams({ client: 'shop', connection: 'line', return_to: place })
    const offer = await browser.open(`${server.issuer}/prompt?${query}`)
    expect(offer.html).toContain('href="https://shop.example.com/"')
    const back = await browser.request(`${server.issuer}/prompt?${query}`)
    expect(back.headers.get('location')).toBe('https://shop.example.com/')
    const done = await browser.open(`${server.issuer}/prompt/done?${query}&notice=declined`)
    expect(done.html).toContain('href="https://shop.example.com/"')
    for (const { html } of [offer, done])
      expect(html).not.toMatch(/(href|action)="[^"/]*evil|href="javascript/)
  })
})

test('another site can neither press the button nor dismiss for a member', async () => {
  const browser = await signInTo(server, await givenMember(server))
  for (const step of ['link', 'never']) {
    const { result, ...changes } = await changesOf(server, () =>
      browser.request(`${server.issuer}/prompt/${step}?client=shop&connection=line`, {
        method: 'POST',
        headers: { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
      }),
    )
    expect(result.status).toBe(403)
    expect(changes).toEqual({ rows: {}, events: [] })
  }
})
