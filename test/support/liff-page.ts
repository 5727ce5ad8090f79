import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface LiffPage {
  /** Its origin, and the address the link leads back to. */
  url: string
  returnTo: string
  /** What `liff.getIDToken()` gives it at the next visit. */
  idToken: string
  close(): Promise<void>
}

/** A page in LINE's browser that links by the token of the SDK, as a relying party would write it. It keeps nothing. */
export async function startLiffPage(issuer: string, clientId: string): Promise<LiffPage> {
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8')
    const isBack = request.url?.startsWith('/linked')
    const start = document('<h1>Member card</h1><button type="button">Link</button>', script(page.idToken))
    response.end(isBack ? document('<h1>Welcome back</h1>') : start)
  })
  await once(server.listen(0, 'localhost'), 'listening')
  const url = `http://localhost:${(server.address() as AddressInfo).port}`
  const page: LiffPage = {
    ...{ url, returnTo: `${url}/linked`, idToken: '' },
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
  const script = (idToken: string) => `
    const ask = async (path, body) => {
      const headers = { 'content-type': 'application/json' }
      const answer = await fetch('${issuer}/api' + path, { method: 'POST', headers, body: JSON.stringify(body) })
      return answer.json()
    }
    document.querySelector('button').onclick = async () => {
      const opened = await ask('/link-sessions', {
        client_id: '${clientId}', connection: 'line', return_to: '${page.returnTo}', state: 'card',
      })
      const { link_session } = opened
      const { url } = await ask('/link-sessions/token', { link_session, id_token: '${idToken}' })
      location.href = url
    }`
  return page
}

const document = (body: string, code = '') =>
  `<!doctype html><html lang="en"><title>LIFF</title><main>${body}</main><script>${code}</script></html>`
