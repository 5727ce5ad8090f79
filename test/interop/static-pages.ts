import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface StaticPages {
  origin: string
  /** Every address below /<name>/ shows the page of this application, whose script makes a `manager`. */
  add(name: string, script: string): void
  close(): void
}

const library = new URL('../browser/oidc-client-ts.min.js', import.meta.resolve('oidc-client-ts'))

/** Where single-page applications are served from: pages and the library as it is published for browsers, no more. */
export async function startStaticPages(): Promise<StaticPages> {
  const scripts = new Map<string, string>()
  const libraryText = await readFile(library)
  const server = createServer(({ url = '' }, response) => {
    if (url === '/oidc-client-ts.js') {
      response.setHeader('content-type', 'text/javascript').end(libraryText)
    } else if (url === '/favicon.ico') {
      response.writeHead(204).end()
    } else {
      const script = scripts.get(url.split(/[/?]/)[1] ?? '') ?? ''
      response.setHeader('content-type', 'text/html; charset=utf-8').end(pageWith(script))
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    add: (name, script) => void scripts.set(name, script),
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

const pageWith = (script: string) => `<!doctype html>
<html lang="en">
<meta name="viewport" content="width=device-width">
<title>Shop</title>
<h1>Shop</h1>
<button onclick="manager.signinRedirect()">Sign in</button>
<button onclick="manager.signoutRedirect()">Sign out</button>
<script src="/oidc-client-ts.js"></script>
<script>${script}</script>
</html>`
