import { trialUrl } from '../../src/linking/trial/ticket.ts'
import { systemRandom } from '../../src/security/random.ts'
import type { TestApp } from './app.ts'
import type { Browser, Page } from './browser.ts'

/** The address that `hitotsu connections test` prints. */
export function givenTrial(server: TestApp, connectionId: string): string {
  const { sealer, issuer } = server
  return trialUrl({ sealer, random: systemRandom, issuer }, connectionId, server.now())
}

/** Opens it, presses the one button, and comes back from an upstream that answers at once. */
export async function tryOut(browser: Browser, url: string): Promise<Page> {
  return browser.submit(await browser.open(url), '/connection-trial')
}
