import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { codeSentTo } from '../support/mailbox.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
})
afterAll(() => server.close())

test('a visitor becomes a member with an address that a code has proved', async () => {
  const browser = openBrowser()
  const form = await browser.open(`${server.issuer}/sign-up`)
  const verify = await browser.submit(form, '/sign-up', {
    name: 'New Member',
    email: 'new@example.com',
    password: 'violet harbor lantern',
  })
  expect(verify.url.pathname).toMatch(/verify-email$/)
  const code = await codeSentTo(server, 'new@example.com')
  const account = await browser.submit(verify, '/verify-email', { code })
  expect(account.url.href).toBe(`${server.issuer}/account`)
  expect(account.html).toContain('New Member')
})
