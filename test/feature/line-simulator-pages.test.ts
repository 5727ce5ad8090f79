import { AxeBuilder } from '@axe-core/playwright'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { defaultSeed } from '../../src/demo/line/seed.ts'
import type { LineSimulator } from '../../src/demo/line/server.ts'
import { createState } from '../../src/demo/line/state.ts'
import { authorizeUrl, callbackUrl, loginChannelOf, startSimulator } from '../support/line-simulator.ts'

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
  test('a whole login passes axe on every screen', async () => {
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
