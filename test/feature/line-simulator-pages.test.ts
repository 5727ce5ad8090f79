import { AxeBuilder } from '@axe-core/playwright'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { defaultSeed } from '../../src/demo/line/seed.ts'
import type { LineSimulator } from '../../src/demo/line/server.ts'
import { userIdOf } from '../../src/demo/line/simulator.ts'
import { createState } from '../../src/demo/line/state.ts'
import {
  authorizeUrl,
  botChannelId,
  botChannelOf,
  call,
  callbackUrl,
  loginChannelId,
  loginChannelOf,
  obtainTokens,
  openLineBrowser,
  startSimulator,
  startWebhookReceiver,
  statelessToken,
} from '../support/line-simulator.ts'

let line: LineSimulator
let chrome: Browser

beforeAll(async () => {
  line = await startSimulator()
  chrome = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
})
beforeEach(async () => {
  line.simulator.state = await createState(defaultSeed([callbackUrl]))
})
afterAll(async () => {
  await chrome.close()
  await line.close()
})

/** Nothing for axe to find, nothing wider than the screen, and the banner in sight. */
async function expectGoodPage(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze()
  expect(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([])
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360)
  expect(await page.locator('header').textContent()).toContain('LINE simulator')
}

describe.each([
  ['ja', 'light'],
  ['en', 'dark'],
] as const)('LINE pages on a 360 px screen (%s, %s)', (locale, colorScheme) => {
  test('a whole login passes axe on every screen', { timeout: 120_000 }, async () => {
    loginChannelOf(line).requireTwoFactor = true
    const context = await chrome.newContext({ locale, colorScheme, viewport: { width: 360, height: 740 } })
    await context.route(`${callbackUrl}**`, (route) => route.fulfill({ body: 'back' }))
    const page = await context.newPage()
    await page.goto(authorizeUrl(line, { scope: 'openid profile email', bot_prompt: 'aggressive' }))
    await expectGoodPage(page)

    await page.locator('input[type=email]').fill('line-person-b@example.com')
    await page.locator('input[type=password]').fill('wrong')
    await page.locator('button.main').click()
    await expectGoodPage(page)
    await page.locator('button[value=person-b]').click()
    await expectGoodPage(page)
    await page.locator('button.main').click()
    await expectGoodPage(page)
    await page.locator('input[name=email]').uncheck()
    await page.locator('button[value=allow]').click()
    await expectGoodPage(page)
    await page.locator('input[name=add_friend]').uncheck()
    await page.locator('button.main').click()
    await page.waitForURL(`${callbackUrl}**`)
    expect(new URL(page.url()).searchParams.get('friendship_status_changed')).toBe('false')

    await page.goto(authorizeUrl(line, { initial_amr_display: 'lineqr', prompt: 'login' }))
    await expectGoodPage(page)
    await page.goto(authorizeUrl(line))
    await expectGoodPage(page)
    await page.locator('button.main').click()
    await page.waitForURL(`${callbackUrl}**`)
    await page.goto(authorizeUrl(line, { redirect_uri: 'http://elsewhere.example' }))
    await expectGoodPage(page)
    await context.close()
  })
})

test.each([
  ['sends itself where scripts run', true],
  ['is sent by a press where they do not', false],
])('a form_post response %s', async (_, javaScriptEnabled) => {
  const context = await chrome.newContext({ javaScriptEnabled })
  await context.route(`${callbackUrl}**`, (route) => route.fulfill({ body: 'back' }))
  const page = await context.newPage()
  const posted = page.waitForRequest((request) => request.url().startsWith(callbackUrl))
  await page.goto(authorizeUrl(line, { response_mode: 'form_post' }))
  await page.locator('button[value=person-a]').click()
  await page.locator('button[value=allow]').click()
  if (!javaScriptEnabled) await page.locator('button.main').click()
  expect((await posted).postData()).toMatch(/^code=\w{20}&state=state0123456789$/)
  await context.close()
})

describe('the LINE app as a page', () => {
  test('refuses a form from another site', async () => {
    const headers = { 'sec-fetch-site': 'cross-site' }
    expect(
      (await call(line, '/phone/person-a/remove-app', { form: { channelId: '1' }, headers })).status,
    ).toBe(403)
  })

  test('shows messages and links of a friend, and passes axe', { timeout: 120_000 }, async () => {
    const context = await chrome.newContext({ locale: 'en', viewport: { width: 360, height: 740 } })
    const page = await context.newPage()
    await page.goto(line.url)
    await expectGoodPage(page)
    await page.getByRole('link', { name: 'LINE Person A' }).click()
    await page.getByRole('button', { name: 'Add friend' }).click()
    const action = (uri: string) => ({ type: 'uri', label: 'Link', uri })
    const template = {
      type: 'buttons',
      actions: [action('https://example.com/link'), action('javascript:alert(1)')],
    }
    const message = { type: 'template', altText: 'Link your account', template }
    const bearer = await statelessToken(line, botChannelId)
    const to = userIdOf('provider-a', 'person-a')
    await call(line, '/v2/bot/message/push', { bearer, json: { to, messages: [message] } })
    await page.reload()
    await expectGoodPage(page)
    expect(await page.locator('.bubble').textContent()).toContain('Link your account')
    expect(await page.locator('.bubble a').getAttribute('href')).toBe('https://example.com/link')
    await page.getByRole('button', { name: 'Block' }).click()
    expect(await page.locator('main').textContent()).toContain('Blocked.')
    await context.close()
  })

  test('removes an authorized app, and turns auto login on and off', async () => {
    await obtainTokens(line)
    const browser = openLineBrowser(line.url, { 'accept-language': 'en' })
    const phone = await browser.open(`${line.url}/phone/person-a`)
    expect(phone.html).toContain('Unlink Login channel A')
    const after = await browser.submit(phone, '/remove-app', { channelId: loginChannelId })
    expect(after.html).toContain('There are no authorized apps.')
    await browser.submit(after, '/in-hand', { inHand: 'true' })
    expect((await browser.open(authorizeUrl(line))).html).toContain('/consent"')
    await browser.submit(after, '/in-hand', { inHand: 'false' })
    expect((await browser.open(authorizeUrl(line))).html).toContain('/login"')
  })

  test('what a person says reaches the official account', async () => {
    const receiver = await startWebhookReceiver()
    botChannelOf(line).webhookUrl = receiver.url
    await call(line, '/phone/person-a/say', { form: { channelId: botChannelId, text: 'hello' } }).catch(
      () => undefined,
    )
    await vi.waitFor(() =>
      expect(receiver.deliveries[0]?.events).toMatchObject([{ message: { text: 'hello' } }]),
    )
    await receiver.close()
  })
})
