import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Browser, type BrowserContext, chromium, type Locator, type Page } from 'playwright-core'
import { type Locale, type Translate, translator } from '../../src/http/i18n.ts'
import {
  accessibilityFaults,
  accessibilityFaultsOfCopy,
  keyboardFaults,
  overflowFaults,
} from './page-inspection.ts'

export interface VisitOptions {
  locale?: Locale
  screen?: keyof typeof screens
  dark?: boolean
  scripts?: boolean
}

/** A person with a browser of their own. Every page they come to is looked at; what is wrong is kept for the end. */
export interface Visitor {
  page: Page
  locale: Locale
  /** The words of our own pages in this person's language. */
  t: Translate
  open(url: string): Promise<void>
  /** Presses what leads to another page, and waits until that page is there. */
  press(control: Locator): Promise<void>
  /** Looks at a page that was reached in another way. */
  look(): Promise<void>
  /** Goes through the page by Tab. */
  walkByKeyboard(): Promise<void>
  /** The same person in another tab. */
  newTab(): Promise<Visitor>
}

export interface Chromium {
  visit(options?: VisitOptions): Promise<Visitor>
  /** Ends the visits. @throws Error that names everything wrong with any page that was seen */
  endVisits(): Promise<void>
  close(): Promise<void>
}

const screens = { phone: { width: 360, height: 740 }, desktop: { width: 1280, height: 900 } }
const languages = { ja: 'ja-JP', en: 'en-US' }
const stepTimeoutMilliseconds = 30_000
const switches = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** What the visits to one browser leave behind. */
interface Visits {
  contexts: BrowserContext[]
  faults: Set<string>
  /** Pages that were judged, by what is written on them. */
  judged: Set<string>
}

/** A real browser, from CHROMIUM_PATH or where Debian puts it. With SCREENSHOTS=<folder> it keeps a picture of every page. */
export async function openChromium(): Promise<Chromium> {
  const executablePath = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium'
  const browser = await chromium.launch({ executablePath, args: switches })
  const visits: Visits = { contexts: [], faults: new Set(), judged: new Set() }
  return {
    visit: (options = {}) => beginVisit(browser, options, visits),
    async endVisits() {
      const found = [...visits.faults]
      visits.faults.clear()
      await Promise.all(visits.contexts.splice(0).map((context) => context.close()))
      if (found.length > 0) throw new Error(`Wrong with the pages:\n${found.join('\n')}`)
    },
    close: () => browser.close(),
  }
}

async function beginVisit(browser: Browser, options: VisitOptions, visits: Visits): Promise<Visitor> {
  const { locale = 'en', screen = 'desktop', dark = false, scripts = true } = options
  const open = async (javaScriptEnabled: boolean) => {
    const context = await browser.newContext({
      locale: languages[locale],
      viewport: screens[screen],
      colorScheme: dark ? 'dark' : 'light',
      javaScriptEnabled,
    })
    context.setDefaultTimeout(stepTimeoutMilliseconds)
    visits.contexts.push(context)
    return context
  }
  const context = await open(scripts)
  const copy = scripts ? undefined : await (await open(true)).newPage()
  const name = [screen, locale, dark ? 'dark' : 'light', ...(scripts ? [] : ['no-scripts'])].join('-')

  const openTab = async (): Promise<Visitor> => {
    const page = await context.newPage()
    const report = (fault: string) => visits.faults.add(`${name} ${page.url()}: ${fault}`)
    listen(page, report)
    const look = async () => {
      await keepPicture(page, name)
      for (const fault of await overflowFaults(page)) report(fault)
      if (!(await isNew(page, name, visits))) return
      const found = copy ? accessibilityFaultsOfCopy(page, copy) : accessibilityFaults(page)
      for (const fault of await found) report(fault)
    }
    const arrive = async (leave: () => Promise<unknown>) => {
      await Promise.all([page.waitForEvent('load'), leave()])
      await look()
    }
    return {
      page,
      locale,
      t: translator(locale),
      open: (url) => arrive(() => page.goto(url)),
      press: (control) => arrive(() => control.click()),
      look,
      walkByKeyboard: async () => {
        for (const fault of await keyboardFaults(page)) report(fault)
      },
      newTab: openTab,
    }
  }
  return openTab()
}

/** A page that reads the same in the same window, but for ids, was judged before: axe takes most of a journey's time. */
async function isNew(page: Page, name: string, { judged }: Visits): Promise<boolean> {
  const text = await page.evaluate(() => document.body.innerText)
  const key = `${name} ${text.replace(/[0-9a-f]{8,}/g, '')}`
  if (judged.has(key)) return false
  judged.add(key)
  return true
}

/** Errors a person would see only in the browser's console, what the page's own policy blocked among them. */
function listen(page: Page, report: (fault: string) => void): void {
  page.on('pageerror', (error) => report(`script failed: ${error.message}`))
  page.on('console', (message) => {
    // A page that answers with a refusal is one of the journey; what it loads is judged below.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
      report(message.text())
  })
  page.on('response', (response) => {
    const failed = response.request().isNavigationRequest()
      ? response.status() >= 500
      : response.status() >= 400
    if (failed) report(`${response.url()} answered ${response.status()}`)
  })
}

let pictures = 0

async function keepPicture(page: Page, name: string): Promise<void> {
  const folder = process.env.SCREENSHOTS
  if (!folder) return
  mkdirSync(folder, { recursive: true })
  const { port, pathname } = new URL(page.url())
  const place = `${port}${pathname}`.replace(/[^\w]+/g, '-').slice(0, 60)
  pictures += 1
  const path = join(folder, `${name}-${String(pictures).padStart(3, '0')}-${place}.png`)
  await page.screenshot({ path, fullPage: true })
}
