import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Chromium, openChromium } from '../support/chromium.ts'
import { givenMember } from '../support/given.ts'
import { changesOf, typesOf } from '../support/linking.ts'
import type { OAuth2Server } from '../support/oauth2-server.ts'
import { givenOAuth2, startLinkingApp } from '../support/upstreams.ts'
import { enterPassword, expectHeading, press } from './at-hitotsu.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let chromium: Chromium
let club: OAuth2Server
beforeAll(async () => {
  ;[server, chromium] = await Promise.all([startLinkingApp(), openChromium()])
  club = await givenOAuth2(server, { id: 'club', name: { ja: 'クラブ', en: 'Club' } })
})
afterEach(() => chromium.endVisits())
afterAll(() => Promise.all([chromium.close(), server.close(), club.close()]))

test.each([
  { screen: 'phone', locale: 'ja', scripts: false },
  { screen: 'desktop', locale: 'en', dark: true },
] as const)(
  'a member links an account of an OAuth 2.0 server, and signs in with it from then on ($screen, $locale)',
  async (how) => {
    const visitor = await chromium.visit(how)
    const { t, page, locale } = visitor
    const name = locale === 'ja' ? 'クラブ' : 'Club'
    club.behavior.userinfo = { id: `of-${how.screen}` }
    const member = await givenMember(server, { locale })
    await visitor.open(`${server.issuer}/account`)
    await enterPassword(visitor, member)
    const linked = await changesOf(server, async () => {
      await press(visitor, t('connection.other.link', { name }))
      await expectHeading(visitor, t('confirm.heading', { connection: name, service: 'Hitotsu' }))
      await visitor.walkByKeyboard()
      await press(visitor, t('confirm.agree_link'))
    })
    expect((await page.getByRole('status').innerText()).trim()).toBe(t('flash.linked', { name }))
    expect(linked.rows).toEqual({ FederatedIdentity: '+1', LinkConsent: '+1', UpstreamToken: '+1' })
    expect(typesOf(linked)).toEqual(['identity.linked'])

    await press(visitor, t('nav.sign_out'))
    await press(visitor, t('sign_out.yes'))
    await visitor.open(`${server.issuer}/account`)
    await press(visitor, t('connection.other.sign_in', { name }))
    expect(await page.getByText(member.id).count()).toBe(1)
  },
)
