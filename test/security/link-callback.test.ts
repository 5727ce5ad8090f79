import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Browser, Page } from '../support/browser.ts'
import { type GivenMember, givenIdentity, givenMember } from '../support/given.ts'
import { catchCallback, changesOf, pressLink, signInTo, visitor } from '../support/linking.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
let other: UpstreamProvider
beforeAll(async () => {
  server = await startLinkingApp()
  upstream = await givenUpstream(server, { id: 'upstream' })
  other = await givenUpstream(server, { id: 'other' })
})
afterAll(async () => {
  await Promise.all([server.close(), upstream.close(), other.close()])
})

let count = 0
let member: GivenMember
let victim: Browser
beforeEach(async () => {
  for (const one of [upstream, other]) {
    one.behavior.subject = `shopper-${++count}`
    one.behavior.wrong = {}
    one.requests.length = 0
  }
  member = await givenMember(server)
  victim = await signInTo(server, member)
})

const linkPage = /^\/link\/[\w-]+$/
const mismatch = (connectionId = 'upstream') => ({
  rows: {},
  events: [{ type: 'link.refused', memberId: null, data: { connectionId, reason: 'state_mismatch' } }],
})
const nothing = { rows: {}, events: [] }

/** The callback that an attacker's own account at the upstream ends in, with a code that is good. */
async function attackersCallback(): Promise<{ attacker: Browser; callback: URL }> {
  const attacker = await signInTo(server, await givenMember(server))
  return { attacker, callback: await catchCallback(server, attacker, 'upstream') }
}

const without = (url: URL, name: string) => {
  const copy = new URL(url)
  copy.searchParams.delete(name)
  return copy
}

const withParameters = (url: URL, parameters: Record<string, string>) => {
  const copy = new URL(url)
  for (const [name, value] of Object.entries(parameters)) copy.searchParams.set(name, value)
  return copy
}

describe('RFC 9700 section 4.7: forced linking, an answer that this browser did not ask for', () => {
  test("the attacker's callback in the victim's session links nothing, and the code is not redeemed", async () => {
    const { attacker, callback } = await attackersCallback()
    const { result, ...changes } = await changesOf(server, () => victim.open(callback))
    expect(result.status).toBe(400)
    expect(changes).toEqual(mismatch())
    expect(upstream.requests).not.toContain('/token')
    const own = await attacker.open(callback)
    expect(own.url.pathname).toMatch(linkPage)
  })

  test("the attacker's callback while the victim is linking leads the victim to their own account", async () => {
    const { callback } = await attackersCallback()
    await catchCallback(server, victim, 'upstream')
    upstream.requests.length = 0
    upstream.behavior.subject = 'account-of-the-victim'
    const { result, ...changes } = await changesOf(server, () => victim.open(callback))
    expect(result.url.pathname).toMatch(linkPage)
    expect(changes).toEqual(nothing)
    await victim.submit(result, '/agree')
    const linked = await server.db.federatedIdentity.findFirstOrThrow({ where: { memberId: member.id } })
    expect(linked.subject).toBe('account-of-the-victim')
  })

  test("the attacker's code with the victim's state is refused by PKCE and nonce", async () => {
    const { callback: foreign } = await attackersCallback()
    const callback = await catchCallback(server, victim, 'upstream')
    const code = foreign.searchParams.get('code') ?? ''
    const { result, rows } = await changesOf(server, () => victim.open(withParameters(callback, { code })))
    expect(result.html).toContain('We could not link')
    expect(rows).toEqual({})
  })

  test('login CSRF: a stranger signs nobody in with a callback of their own', async () => {
    const owner = await givenMember(server)
    const { subject } = upstream.behavior
    await givenIdentity(server, { memberId: owner.id, connectionId: 'upstream', subject })
    const attacker = visitor()
    const form = await attacker.open(`${server.issuer}/account`)
    const callback = await catchCallback(server, attacker, 'upstream', () =>
      attacker.submit(form, '/connections/upstream'),
    )
    const passerBy = visitor()
    const { result, ...changes } = await changesOf(server, () => passerBy.open(callback))
    expect(result.status).toBe(400)
    expect(changes).toEqual(mismatch())
    expect((await passerBy.open(`${server.issuer}/account`)).url.pathname).toMatch(/sign-in$/)
  })
})

describe('a callback', () => {
  test.each([
    ['without state', (url: URL) => without(url, 'state')],
    ['with an empty state', (url: URL) => withParameters(url, { state: '' })],
    ['with an unknown state', (url: URL) => withParameters(url, { state: 'x'.repeat(43) })],
    ['with a state that is no key', (url: URL) => withParameters(url, { state: '*\r\nGET' })],
    ['with a state of 8 KB', (url: URL) => withParameters(url, { state: 's'.repeat(8192) })],
    [
      'with its state in other letters',
      (url: URL) => withParameters(url, { state: swapCase(url.searchParams.get('state')) }),
    ],
  ])('%s links nothing and sends the code nowhere', async (_, change) => {
    const callback = await catchCallback(server, victim, 'upstream')
    upstream.requests.length = 0
    await spendRetry()
    const { result, ...changes } = await changesOf(server, () => victim.open(change(callback)))
    expect(result.status).toBe(400)
    expect(changes).toEqual(mismatch())
    expect(upstream.requests).not.toContain('/token')
  })

  test('with two states is refused', async () => {
    const callback = await catchCallback(server, victim, 'upstream')
    callback.searchParams.append('state', 'another')
    const { result, ...changes } = await changesOf(server, () => victim.open(callback))
    expect(result.status).toBe(400)
    expect(changes).toEqual(nothing)
  })

  test('works once: the same one again is refused', async () => {
    const callback = await catchCallback(server, victim, 'upstream')
    expect((await victim.open(callback)).url.pathname).toMatch(linkPage)
    const tokens = upstream.requests.filter((path) => path === '/token').length
    const { result, ...changes } = await changesOf(server, () => victim.open(callback))
    expect(result.status).toBe(400)
    expect(changes).toEqual(mismatch())
    expect(upstream.requests.filter((path) => path === '/token')).toHaveLength(tokens)
  })

  test('ten times at once is taken once', async () => {
    const callback = await catchCallback(server, victim, 'upstream')
    upstream.requests.length = 0
    const { result, rows } = await changesOf(server, () =>
      Promise.all(Array.from({ length: 10 }, () => victim.request(callback))),
    )
    expect(rows).toEqual({})
    for (const { status } of result) expect(status).toBeLessThan(500)
    expect(upstream.requests.filter((path) => path === '/token')).toHaveLength(1)
  })

  test('after ten minutes is too late', async () => {
    const callback = await catchCallback(server, victim, 'upstream')
    const state = callback.searchParams.get('state')
    await server.store.delete(`pending:${state}`)
    await spendRetry()
    const { result, ...changes } = await changesOf(server, () => victim.open(callback))
    expect(result.status).toBe(400)
    expect(changes).toEqual(mismatch())
  })

  test('that is a form of another site is no callback', async () => {
    const callback = await catchCallback(server, victim, 'upstream')
    const { result, ...changes } = await changesOf(server, () =>
      victim.request(callback, { method: 'POST', body: callback.searchParams }),
    )
    expect(result.status).toBeGreaterThanOrEqual(400)
    expect(result.status).toBeLessThan(500)
    expect(changes).toEqual(nothing)
  })

  test('shows nothing of what an upstream writes into it', async () => {
    const script = '<script>alert(1)</script>'
    const callback = withParameters(new URL(`${server.issuer}/connections/upstream/callback`), {
      error: script,
      error_description: script,
      state: script,
    })
    const page = await victim.open(callback)
    expect(page.status).toBe(400)
    expect(page.html).not.toContain('alert(1)')
  })

  test('with an error and the state of another browser changes nothing there', async () => {
    const callback = await catchCallback(server, victim, 'upstream')
    const forged = withParameters(without(callback, 'code'), { error: 'access_denied' })
    await changesOf(server, () => visitor().open(forged))
    expect((await victim.open(callback)).url.pathname).toMatch(linkPage)
  })
})

describe('RFC 9207 and RFC 9700 section 4.4: mix-up', () => {
  test("one upstream's answer at another's callback is refused and its code goes to neither", async () => {
    const callback = await catchCallback(server, victim, 'upstream')
    const swapped = new URL(callback)
    swapped.pathname = '/connections/other/callback'
    other.requests.length = 0
    upstream.requests.length = 0
    const { result, ...changes } = await changesOf(server, () => victim.open(swapped))
    expect(result.status).toBe(400)
    expect(changes).toEqual(mismatch('other'))
    expect([...upstream.requests, ...other.requests]).not.toContain('/token')
    expect((await victim.open(callback)).url.pathname).toMatch(linkPage)
  })

  test('the state of one connection is not good for another that is under way as well', async () => {
    const first = await catchCallback(server, victim, 'upstream')
    const second = await catchCallback(server, victim, 'other')
    const state = first.searchParams.get('state') ?? ''
    other.requests.length = 0
    const { rows } = await changesOf(server, () => victim.request(withParameters(second, { state })))
    expect(rows).toEqual({})
    expect(other.requests).not.toContain('/token')
  })

  test.each([
    ['of another upstream', () => other.issuer],
    ['with a slash at the end', () => `${upstream.issuer}/`],
    ['of nobody', () => 'https://evil.example'],
    ['that is empty', () => ''],
  ])(
    'RFC 9207 section 2.4: an answer with the iss %s is refused and its code is not sent',
    async (_, iss) => {
      const callback = await catchCallback(server, victim, 'upstream')
      upstream.requests.length = 0
      const { result, ...changes } = await changesOf(server, () =>
        victim.open(withParameters(callback, { iss: iss() })),
      )
      expect(result.html).toContain('We could not link')
      expect(changes.rows).toEqual({})
      expect(changes.events).toEqual([refused('unexpected_upstream_answer')])
      expect(upstream.requests).not.toContain('/token')
    },
  )

  test('RFC 9207 section 2.4: an answer without iss is refused where the upstream always sends it', async () => {
    const callback = await catchCallback(server, victim, 'upstream')
    upstream.requests.length = 0
    const { result, rows } = await changesOf(server, () => victim.open(without(callback, 'iss')))
    expect(result.html).toContain('We could not link')
    expect(rows).toEqual({})
    expect(upstream.requests).not.toContain('/token')
  })

  test('RFC 9207 section 2.4: an error with another iss counts as refused, not as declined', async () => {
    const callback = await catchCallback(server, victim, 'upstream')
    const forged = withParameters(without(callback, 'code'), {
      error: 'access_denied',
      iss: 'https://evil.example',
    })
    const { result, ...changes } = await changesOf(server, () => victim.open(forged))
    expect(result.html).toContain('We could not link')
    expect(changes).toEqual({ rows: {}, events: [refused('unexpected_upstream_answer')] })
  })
})

function refused(reason: string) {
  return {
    type: 'link.refused',
    memberId: member.id,
    data: { connectionId: 'upstream', reason, way: 'account_page' },
  }
}

/** The one new trip that a wrong answer gets while one is under way. */
async function spendRetry(): Promise<Page> {
  victim.stopAt(upstream.issuer)
  const page = await victim.open(`${server.issuer}/connections/upstream/callback?code=c&state=nobody`)
  victim.stopAt(undefined)
  expect(page.url.origin).toBe(upstream.issuer)
  return page
}

const swapCase = (text: string | null) =>
  (text ?? '').replace(/[a-z]/gi, (letter) =>
    letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase(),
  )

test('the control: the same steps without an attack link the account', async () => {
  const page = await victim.submit(await pressLink(server, victim, 'upstream'), '/agree')
  expect(page.html).toContain('is now linked.')
})
