import { vi } from 'vitest'
import type { Message } from '../../src/demo/inbox/mail-store.ts'
import type { TestApp } from './app.ts'

/** The newest mail to an address that has what is looked for, once it has come. */
export async function mailTo(
  server: TestApp,
  address: string,
  pattern: RegExp,
): Promise<Message & { match: string }> {
  await server.app.dispatcher.drain()
  return vi.waitFor(
    () => {
      for (const mail of server.inbox.messages()) {
        const match = mail.to.includes(address) ? pattern.exec(`${mail.subject}\n${mail.text}`) : null
        if (match) return { ...mail, match: match[0] }
      }
      throw new Error(
        `no mail to ${address} matches ${pattern}; there is ${server.inbox.messages().map(({ to, subject }) => `${to}: ${subject}`)}`,
      )
    },
    { timeout: 10_000 },
  )
}

export async function codeSentTo(server: TestApp, address: string): Promise<string> {
  return (await mailTo(server, address, /\b\d{6}\b/)).match
}
