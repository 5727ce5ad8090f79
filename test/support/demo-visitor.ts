export interface Page {
  url: URL
  /** 0 for an address outside of this machine, which is not visited. */
  status: number
  html: string
}

/** A browser without scripts: keeps cookies, follows redirects within this machine, presses offered buttons. */
export function createVisitor(language = 'en') {
  const jar = new Map<string, { host: string; path: string; name: string; value: string }>()
  const visited: string[] = []

  function keepCookies(url: URL, response: Response): void {
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      const path = /;\s*path=([^;]+)/i.exec(line)?.[1] ?? '/'
      jar.set(`${url.host} ${path} ${name}`, { host: url.host, path, name, value })
    }
  }

  async function open(target: URL | string, init: RequestInit & { stopAt?: string } = {}): Promise<Page> {
    const url = new URL(target)
    visited.push(url.href)
    if (url.hostname !== '127.0.0.1' || url.pathname === init.stopAt) return { url, status: 0, html: '' }
    const cookies = [...jar.values()].filter((it) => it.host === url.host && url.pathname.startsWith(it.path))
    const cookie = cookies.map((it) => `${it.name}=${it.value}`).join('; ')
    const headers = { Cookie: cookie, 'Accept-Language': language }
    const response = await fetch(url, { ...init, headers, redirect: 'manual' })
    keepCookies(url, response)
    const location = response.headers.get('location')
    const next = init.stopAt ? { stopAt: init.stopAt } : {}
    if (location) return open(new URL(location, url), next)
    return { url, status: response.status, html: await response.text() }
  }

  return {
    open,
    /** Every address it was sent to, in order. */
    visited: () => visited,
    cookie: (name: string) => [...jar.values()].find((it) => it.name === name)?.value,
    press(page: Page, action: string, fields: Record<string, string> = {}): Promise<Page> {
      if (!page.html.includes(`action="${action}"`))
        throw new Error(`${page.url} offers no form for ${action}`)
      return open(new URL(action, page.url), { method: 'POST', body: new URLSearchParams(fields) })
    },
  }
}

export type Visitor = ReturnType<typeof createVisitor>
