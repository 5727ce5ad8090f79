import type { Visitor } from '../support/chromium.ts'
import type { World } from '../support/world.ts'
import { serviceName } from './at-hitotsu.ts'

/** Opens the newest code mail in another tab and reads the code. */
export async function readCode(visitor: Visitor, world: World, email: string): Promise<string> {
  const { subject } = await world.mailTo(email, visitor.t('mail.verify_email.subject', { serviceName }))
  const inbox = await visitor.newTab()
  await inbox.open(`${world.inbox.url}/?to=${encodeURIComponent(email)}`)
  await inbox.press(inbox.page.getByRole('link', { name: subject }))
  const text = await inbox.page.locator('pre').innerText()
  await inbox.page.close()
  const code = /\b\d{6}\b/.exec(text)?.[0]
  if (!code) throw new Error(`no code in: ${text}`)
  return code
}
