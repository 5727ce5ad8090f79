import type { Context } from 'koa'
import { randomHex, type Simulator } from './simulator.ts'
import type { Browser } from './state.ts'

const cookieName = 'line_simulator_browser'

/** The browser's own record, by the cookie that stands for LINE's login cookie; a new one if it has none. */
export function browserOf(ctx: Context, sim: Simulator): { id: string; browser: Browser } {
  // A browser made for this request has no cookie yet, so the request itself remembers it.
  const sent: string = ctx.state[cookieName] ?? ctx.cookies.get(cookieName) ?? ''
  const known = Object.hasOwn(sim.state.browsers, sent) ? sim.state.browsers[sent] : undefined
  if (known) return { id: sent, browser: known }

  const id = randomHex(sim, 32)
  const browser: Browser = { trustedUntilMs: {} }
  sim.state.browsers[id] = browser
  ctx.state[cookieName] = id
  ctx.cookies.set(cookieName, id, { httpOnly: true, sameSite: 'lax', path: '/', maxAge: 365 * 86_400_000 })
  return { id, browser }
}

/** Whether this browser hands a login over to the LINE app: LINE's own browser, or one on a smartphone. */
export function reachesLineApp(ctx: Context, sim: Simulator): boolean {
  const { autoLogin, appPersonId } = sim.state.settings
  if (autoLogin === 'off' || appPersonId === undefined) return false
  return autoLogin === 'any' || /\bLine\/|iPhone|Android/.test(ctx.get('user-agent'))
}
