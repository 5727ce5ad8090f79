import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Server } from 'node:net'
import { type Message, openMailStore } from './mail-store.ts'
import { createInboxApp } from './pages.ts'
import { createSmtpServer } from './smtp.ts'

export interface InboxOptions {
  /** 0 takes a free port, here and below. */
  smtpPort: number
  httpPort: number
  host?: string
  /** JSON file that carries the mail over to the next start. */
  statePath?: string
  now?: () => Date
}

export interface Inbox {
  url: string
  smtpUrl: string
  /** Newest first. */
  messages(): Message[]
  close(): Promise<void>
}

/** A mail server that accepts everything, delivers nothing, and shows what it got on a web page. */
export async function startInbox(options: InboxOptions): Promise<Inbox> {
  const { host = '127.0.0.1', now = () => new Date() } = options
  const store = await openMailStore(options.statePath)
  const smtp = createSmtpServer(store, now)
  const web = createServer(createInboxApp(store).callback())

  const smtpListener = smtp.listen(options.smtpPort, host)
  web.listen(options.httpPort, host)
  await Promise.all([once(smtpListener, 'listening'), once(web, 'listening')])
  return {
    url: `http://${urlHost(host)}:${portOf(web)}`,
    smtpUrl: `smtp://${urlHost(host)}:${portOf(smtpListener)}`,
    messages: () => store.list(),
    async close() {
      const closed = once(web, 'close')
      web.close()
      web.closeAllConnections()
      await Promise.all([closed, new Promise<void>((resolve) => smtp.close(resolve))])
    },
  }
}

/** A listener on every address is reached under a name, not under 0.0.0.0. */
function urlHost(host: string): string {
  return host === '0.0.0.0' || host === '::' ? 'localhost' : host
}

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The inbox is not listening on a port')
  return address.port
}
