import { AxeBuilder } from '@axe-core/playwright'
import type { Page } from 'playwright-core'

const wcag22aa = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa']

/** What on this page breaks WCAG 2.2 AA as far as axe can tell. The page must allow scripts. */
export async function accessibilityFaults(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page })
    .options({ runOnly: { type: 'tag', values: wcag22aa }, resultTypes: ['violations'] })
    .setLegacyMode()
    .analyze()
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map(
      ({ target, failureSummary }) => `${id} (${help}) at ${target.join(' ')}: ${failureSummary ?? ''}`,
    ),
  )
}

/** The same for a page that may run no script: `copy`, which may, is made to show the same markup at the same address. */
export async function accessibilityFaultsOfCopy(page: Page, copy: Page): Promise<string[]> {
  const [url, body] = [page.url(), await page.content()]
  await copy.route(url, (route) => route.fulfill({ body, contentType: 'text/html; charset=utf-8' }))
  await copy.goto(url)
  await copy.unroute(url)
  return accessibilityFaults(copy)
}

/** WCAG 1.4.10: nobody scrolls sideways to read. */
export async function overflowFaults(page: Page): Promise<string[]> {
  const excess = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement
    return scrollWidth - clientWidth
  })
  return excess > 0 ? [`the page is ${excess} pixels wider than the window`] : []
}

/**
 * Walks through the page by Tab from its top: every control must be reached once, in order of the page, inside the
 * window, and look different while it has the focus (WCAG 2.1.1, 2.4.3, 2.4.7, 2.4.11).
 */
export async function keyboardFaults(page: Page): Promise<string[]> {
  const expected = await page.evaluate(() => {
    const controls = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]'
    const reachable = [...document.querySelectorAll<HTMLElement>(controls)].filter(
      (element) => element.tabIndex >= 0 && element.checkVisibility() && !element.matches(':disabled'),
    )
    for (const [index, element] of reachable.entries()) element.dataset.tabStop = String(index)
    // A page may put the focus into a field; whoever walks starts before everything.
    if (document.activeElement instanceof HTMLElement) document.activeElement.blur()
    document.body.tabIndex = -1
    document.body.focus()
    document.body.removeAttribute('tabindex')
    return reachable.map((element) => element.outerHTML.slice(0, 120))
  })
  const faults: string[] = []
  for (const [index, markup] of expected.entries()) {
    await page.keyboard.press('Tab')
    const stop = await page.evaluate(focusedStop)
    if (stop.index !== index) faults.push(`Tab ${index + 1} reaches ${stop.markup} instead of ${markup}`)
    if (!stop.marked) faults.push(`nothing shows that ${stop.markup} has the focus`)
    if (!stop.inWindow) faults.push(`${stop.markup} has the focus outside the window`)
  }
  return faults
}

/** Runs in the page. */
function focusedStop(): { index: number; markup: string; marked: boolean; inWindow: boolean } {
  const element = document.activeElement
  if (!(element instanceof HTMLElement))
    return { index: -1, markup: 'nothing', marked: false, inWindow: false }
  const { outlineStyle, outlineWidth } = getComputedStyle(element)
  const box = element.getBoundingClientRect()
  return {
    index: Number(element.dataset.tabStop ?? -1),
    markup: element.outerHTML.slice(0, 120),
    marked: outlineStyle !== 'none' && Number.parseFloat(outlineWidth) >= 2,
    inWindow:
      box.width > 0 && box.top >= 0 && box.bottom <= innerHeight && box.left >= 0 && box.right <= innerWidth,
  }
}
