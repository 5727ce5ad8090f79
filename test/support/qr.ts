import type { TestApp } from './app.ts'
import type { Browser, Page } from './browser.ts'

/** The address behind the QR code of a screen: what a camera would read is what the server has put in. */
export async function scannedFrom(
  { issuer, store }: Pick<TestApp, 'issuer' | 'store'>,
  screen: { url: URL },
): Promise<string> {
  const id = screen.url.pathname.split('/').at(-1)
  const stored = await store.get(`qr:${id}`)
  if (!stored) throw new Error(`${screen.url.href} shows no code`)
  return `${issuer}/qr/${JSON.parse(stored).token}`
}

/** Presses "link with your phone" on the account page: the screen with the code. */
export async function openScreen(server: TestApp, browser: Browser, connectionId: string): Promise<Page> {
  const account = await browser.open(`${server.issuer}/account`)
  return browser.submit(account, `/connections/${connectionId}/qr`)
}

/** The digits that a phone shows once it has confirmed. */
export const codeOn = ({ html }: Page) => /class="code-shown"[^>]*>(\d{6})</.exec(html)?.[1] ?? ''
