/** A page as a browser without scripts sees it. */
export interface Page {
  url: URL
  status: number
  headers: Headers
  html: string
}

export interface Browser {
  /** Follows redirects as long as they stay on this machine and `until` does not match. */
  open(url: string | URL): Promise<Page>
  /** Sends the form of `page` whose action ends like `action`, hidden fields and all, with these values on top. */
  submit(page: Page, action: string, values?: Record<string, string>): Promise<Page>
  /** Sends the form like `submit` and stays: as a browser does when another click comes before the answer. */
  press(page: Page, action: string, values?: Record<string, string>): Promise<Response>
  /** One request, no redirect followed; cookies are sent and kept. */
  request(url: string | URL, init?: RequestInit): Promise<Response>
  /** Stops at the first address that starts like this, without visiting it. */
  stopAt(prefix: string | undefined): void
  cookies(): Map<string, string>
}

interface Cookie {
  host: string
  path: string
  name: string
  value: string
}

/**
 * A person's browser without scripts: cookies by host and path, redirects, forms. `language` is its Accept-Language;
 * `address` is where it says it comes from, for servers that stand behind a proxy.
 */
export function openBrowser(language = 'en', address?: string): Browser {
  const jar = new Map<string, Cookie>()
  let stop: string | undefined

  const request = async (target: string | URL, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(target)
    const sent = [...jar.values()].filter((it) => it.host === url.host && url.pathname.startsWith(it.path))
    const headers = new Headers({
      'accept-language': language,
      accept: 'text/html',
      ...(address && { 'x-forwarded-for': address }),
      ...(init.headers as Record<string, string>),
    })
    if (sent.length > 0) headers.set('cookie', sent.map((it) => `${it.name}=${it.value}`).join('; '))
    const response = await fetch(url, { ...init, headers, redirect: 'manual' })
    for (const line of response.headers.getSetCookie()) keep(jar, url, line)
    return response
  }

  const visit = async (target: string | URL, init?: RequestInit, redirects = 0): Promise<Page> => {
    const url = new URL(target)
    if (redirects > 20) throw new Error(`too many redirects, the last to ${url.href}`)
    if (stop && url.href.startsWith(stop)) return { url, status: 0, headers: new Headers(), html: '' }
    const response = await request(url, init)
    const location = response.headers.get('location')
    const html = await response.text()
    return location
      ? visit(new URL(location, url), undefined, redirects + 1)
      : { url, status: response.status, headers: response.headers, html }
  }

  return {
    open: (url) => visit(url),
    submit: (page, action, values) => visit(...filledIn(page, action, values)),
    press: (page, action, values) => request(...filledIn(page, action, values)),
    request,
    stopAt: (prefix) => {
      stop = prefix
    },
    cookies: () => new Map([...jar.values()].map((it) => [it.name, it.value])),
  }
}

function keep(jar: Map<string, Cookie>, url: URL, line: string): void {
  const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
  const path = /;\s*path=([^;]+)/i.exec(line)?.[1] ?? '/'
  const key = `${url.host} ${path} ${name}`
  const ended = /expires=Thu, 01 Jan 1970/i.test(line) || value === ''
  if (ended) jar.delete(key)
  else jar.set(key, { host: url.host, path, name, value })
}

function filledIn(page: Page, action: string, values: Record<string, string> = {}): [URL, RequestInit] {
  const form = findForm(page, action)
  const body = new URLSearchParams({ ...form.fields, ...values })
  const headers = { origin: page.url.origin, 'sec-fetch-site': 'same-origin' }
  return [new URL(form.action, page.url), { method: 'POST', body, headers }]
}

function findForm({ html, url }: Page, action: string): { action: string; fields: Record<string, string> } {
  const forms = html.match(/<form\b[\s\S]*?<\/form>/g) ?? []
  const form = forms.find((text) => attribute(text, 'action')?.endsWith(action))
  if (!form)
    throw new Error(
      `${url.href} has no form for ${action}; it has ${forms.map((text) => attribute(text, 'action')).join(', ')}`,
    )
  // As Enter does, the form's first button is pressed; a named one is sent along.
  const button = form.match(/<button\b[^>]*>/g)?.[0]
  const inputs = [...(form.match(/<input\b[^>]*>/g) ?? []), ...(button ? [button] : [])].filter(
    (text) => attribute(text, 'name') && attribute(text, 'type') !== 'checkbox',
  )
  return {
    action: attribute(form, 'action') ?? '',
    fields: Object.fromEntries(
      inputs.map((text) => [attribute(text, 'name') ?? '', attribute(text, 'value') ?? '']),
    ),
  }
}

function attribute(tag: string, name: string): string | undefined {
  const value = new RegExp(`^<[^>]*\\s${name}="([^"]*)"`).exec(tag)?.[1]
  return value
    ?.replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
}
