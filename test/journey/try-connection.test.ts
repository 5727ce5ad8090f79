import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type AppleServer, appleClient, startAppleServer } from '../support/apple-server.ts'
import { type Chromium, openChromium, type Visitor } from '../support/chromium.ts'
import { givenDraft } from '../support/given.ts'
import { changesOf } from '../support/linking.ts'
import type { OAuth2Server } from '../support/oauth2-server.ts'
import { givenTrial } from '../support/trials.ts'
import { givenOAuth2, startLinkingApp } from '../support/upstreams.ts'
import { expectHeading, press } from './at-hitotsu.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let chromium: Chromium
let apple: AppleServer
let club: OAuth2Server
beforeAll(async () => {
  ;[server, chromium, apple] = await Promise.all([startLinkingApp(), openChromium(), startAppleServer()])
  server.privateHosts.push(new URL(apple.issuer).host)
  apple.claims = { email: 'hana@example.com', email_verified: 'true' }
  const { id: clientId, ...signer } = appleClient
  await givenDraft(server, {
    ...{ id: 'apple', kind: 'apple', issuer: apple.issuer, clientId, clientSecret: apple.p8 },
    name: { ja: 'Apple', en: 'Apple' },
    settings: { signer, trustEmail: true },
  })
  club = await givenOAuth2(server, { id: 'club', name: { ja: 'クラブ', en: 'Club' } })
})
afterEach(() => chromium.endVisits())
afterAll(() => Promise.all([chromium.close(), server.close(), apple.close(), club.close()]))

const apart = [
  { screen: 'phone', locale: 'ja', dark: true },
  { screen: 'phone', locale: 'en', dark: false },
  { screen: 'desktop', locale: 'ja', dark: false },
  { screen: 'desktop', locale: 'en', dark: true },
] as const

async function start(visitor: Visitor, id: 'apple' | 'club'): Promise<void> {
  const connection = { apple: 'Apple', club: visitor.locale === 'ja' ? 'クラブ' : 'Club' }[id]
  await visitor.open(givenTrial(server, id))
  await expectHeading(visitor, visitor.t('trial.heading', { connection }))
  await visitor.walkByKeyboard()
  await press(visitor, visitor.t('trial.start', { connection }))
}

test.each(apart)(
  'a form that another site posts comes back in the browser it belongs to ($screen, $locale)',
  async (how) => {
    const visitor = await chromium.visit(how)
    const { result, ...changes } = await changesOf(server, async () => {
      await start(visitor, 'apple')
      await press(visitor, 'Continue')
      await expectHeading(visitor, visitor.t('trial.verified.title'))
      return visitor.page.innerText('main')
    })
    for (const shown of [
      '鈴木 花子',
      'hana@example.com',
      visitor.t('trial.email_verified'),
      '"email_verified"',
    ])
      expect(result).toContain(shown)
    expect(visitor.page.url()).not.toContain('%E8%8A%B1')
    expect(changes).toEqual({ rows: {}, events: [] })
    await visitor.walkByKeyboard()
  },
)

test.each(apart)(
  'what does not fit is said in words, with what was received ($screen, $locale)',
  async (how) => {
    club.behavior.userinfo = { data: { id: 'member-1', name: 'Hanako' } }
    const visitor = await chromium.visit({ ...how, scripts: how.screen === 'desktop' })
    await start(visitor, 'club')
    await expectHeading(visitor, visitor.t('trial.failed.title'))
    const text = await visitor.page.innerText('main')
    expect(text).toContain(visitor.t('trial.fault.subject_missing'))
    expect(text).toContain('"id": "member-1"')
  },
)
