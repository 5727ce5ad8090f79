import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { chromium, type Locator, type Page } from 'playwright-core'
import type { Script } from './browser-script.ts'
import { serverCertificate } from './certificate.ts'

/** The part of the suite that is told things: its pages for browsers, and its endpoints for servers. */
export interface SuiteServer {
  url: string
  /** In PEM; nobody but itself has signed it. */
  certificate: string
  /** What came by POST, by path. */
  received: Map<string, URLSearchParams>
  close(): Promise<unknown>
}

export interface SuiteBrowser {
  /** As the suite's browser takes an address of ours, in a tab of its own; where that has ended. */
  run(scripts: readonly Script[], url: URL): Promise<Ending>
  /** From now on it is a browser that has never been here. */
  forget(): Promise<void>
  close(): Promise<void>
}

export interface Ending {
  url: URL
  /** The tasks that were not left out. */
  done: string[]
}

export async function openSuiteServer(): Promise<SuiteServer> {
  const { certificate, key } = await serverCertificate(['localhost'], new Date())
  const received: SuiteServer['received'] = new Map()
  const server = createServer({ cert: certificate, key }, async (request, response) => {
    const body = await text(request)
    if (request.method === 'POST') received.set(request.url ?? '', new URLSearchParams(body))
    response.setHeader('content-type', 'text/html').end('<p id="submission_complete">Done</p>')
  })
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  return {
    url: `https://localhost:${(server.address() as AddressInfo).port}`,
    ...{ certificate, received },
    close() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      return closed
    },
  }
}

/** A browser without scripts that reads the suite's notation as the suite does. */
export async function openSuiteBrowser(): Promise<SuiteBrowser> {
  const executablePath = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium'
  const args = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking']
  const browser = await chromium.launch({ executablePath, args })
  const context = await browser.newContext({ javaScriptEnabled: false, ignoreHTTPSErrors: true })
  const taken = new Map<Script, number>()
  return {
    async run(scripts, url) {
      const script = scripts.find((it) => {
        const limit = it['match-limit'] ?? Number.POSITIVE_INFINITY
        return matches(it.match, url.href) && (taken.get(it) ?? 0) < limit
      })
      if (!script) throw new Error(`no script is for ${url.href}`)
      taken.set(script, (taken.get(script) ?? 0) + 1)
      const page = await context.newPage()
      page.setDefaultTimeout(10_000)
      await page.goto(url.href)
      const done = await carryOut(page, script)
      const ending = { url: new URL(page.url()), done }
      await page.close()
      return ending
    },
    forget: () => context.clearCookies(),
    close: () => browser.close(),
  }
}

async function carryOut(page: Page, { tasks }: Script): Promise<string[]> {
  const done: string[] = []
  for (const { task, match, optional, commands = [] } of tasks) {
    if (!matches(match, page.url())) {
      if (optional) continue
      throw new Error(`${task}: the browser is at ${page.url()}`)
    }
    for (const command of commands) await obey(page, command.map(String))
    done.push(task)
  }
  return done
}

async function obey(page: Page, [verb = '', kind = '', target = '', ...rest]: string[]): Promise<void> {
  const element = find(page, kind, target)
  if (rest.at(-1) === 'optional' && (await element.count()) === 0) return
  const [value = '', pattern] = rest
  switch (verb) {
    case 'text':
      return element.fill(value)
    case 'click':
      return void (await Promise.all([page.waitForEvent('load'), element.click()]))
    case 'wait':
      return element.filter(pattern ? { hasText: new RegExp(pattern) } : {}).waitFor({ state: 'attached' })
    default:
      throw new Error(`the suite knows no ${verb}`)
  }
}

function find(page: Page, kind: string, target: string): Locator {
  const selectors: Record<string, string> = {
    id: `[id="${target}"]`,
    name: `[name="${target}"]`,
    css: target,
    xpath: `xpath=${target}`,
  }
  const selector = selectors[kind]
  if (!selector) throw new Error(`the suite finds nothing by ${kind}`)
  // It takes the first that there is.
  return page.locator(selector).first()
}

/** A star stands for any text. */
function matches(pattern: string, text: string): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`).test(text)
}
