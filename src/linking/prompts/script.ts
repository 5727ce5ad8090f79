import { readFileSync } from 'node:fs'
import Router from '@koa/router'
import type { HttpContext, HttpMiddleware, HttpState } from '../../http/context.ts'
import type { LocalizedName } from '../../http/i18n.ts'
import { queryParameter } from '../../http/input.ts'
import { sourceOf } from '../../http/rate-limit.ts'
import { Problem } from '../../problem.ts'
import type { Db } from '../../store/db.ts'
import type { Ephemeral } from '../../store/ephemeral.ts'
import { campaignState, currentCampaign } from '../campaigns/campaign.ts'
import { findPlace, type PromptPlace } from './place.ts'
import { countShowing } from './showing.ts'

interface ScriptDeps {
  db: Db
  store: Ephemeral
}

const source = readFileSync(new URL('../../../views/assets/link-prompt.js', import.meta.url), 'utf8')
/** The end of the script, where it is called with what it is told; as it stands it is told nothing. */
const untold = '(document.currentScript, null)'

/**
 * What pages of relying parties load. Goes before everything that reads a cookie: what is answered hangs on the address
 * alone and is the same for everybody, so that no page that loads it learns anything about who looks at it.
 */
export function promptScript(deps: ScriptDeps): HttpMiddleware {
  const router = new Router<HttpState>()
  router.get('/link-prompt.js', (ctx) => sendScript(deps, ctx))
  router.post('/link-prompt/shown', (ctx) => countShown(deps, ctx))
  return router.routes() as HttpMiddleware
}

/** With a query the script knows what it is for; without one it never changes, and its page says so in attributes (SRI). */
async function sendScript({ db }: ScriptDeps, ctx: HttpContext): Promise<void> {
  const text = ctx.search === '' ? source : await toldSource(db, ctx).catch(noSource)
  if (text === undefined) return refuse(ctx)
  ctx.type = 'text/javascript; charset=utf-8'
  // The page that loads it may be isolated (COEP), or check its digest, which takes CORS.
  ctx.set({ 'Access-Control-Allow-Origin': '*', 'Cross-Origin-Resource-Policy': 'cross-origin' })
  ctx.set('Cache-Control', 'public, max-age=60, stale-while-revalidate=600')
  ctx.body = text
}

/** A programmer reads this in the console, and nobody on the page; a page of ours would set a cookie. */
function refuse(ctx: HttpContext): void {
  ctx.status = 404
  ctx.type = 'text/plain; charset=utf-8'
  ctx.set('Cache-Control', 'no-store')
  ctx.body = 'There is no such client, or it may not see links of such a connection.\n'
}

function noSource(error: unknown): undefined {
  if (!(error instanceof Problem)) throw error
}

async function toldSource(db: Db, ctx: HttpContext): Promise<string> {
  const { connection, clientId } = await placeOf(db, ctx)
  const campaign = await currentCampaign(db, connection.id, ctx.state.now)
  const isRunning = campaign && campaignState(campaign, ctx.state.now) === 'running'
  const told: Told = {
    client: clientId,
    connection: connection.id,
    name: connection.name,
    line: connection.kind === 'line',
    ...(isRunning && { reward: campaign.rewardLabel }),
  }
  // Names are data: `<` and the line ends that JavaScript has and JSON has not are written as escapes.
  const json = JSON.stringify(told).replace(/[<\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
  return source.replace(untold, () => `(document.currentScript, ${json})`)
}

interface Told {
  client: string
  connection: string
  name: LocalizedName
  line: boolean
  reward?: LocalizedName
}

/** Whatever was counted, the answer is the same. */
async function countShown(deps: ScriptDeps, ctx: HttpContext): Promise<void> {
  const place = await placeOf(deps.db, ctx).catch((error: unknown) => {
    if (error instanceof Problem) return undefined
    throw error
  })
  if (place) {
    const prompt = { connectionId: place.connection.id, clientId: place.clientId }
    await countShowing(deps, prompt, sourceOf(ctx.ip), ctx.state.now)
  }
  ctx.status = 204
  ctx.set('Cache-Control', 'no-store')
}

function placeOf(db: Db, ctx: HttpContext): Promise<PromptPlace> {
  const [clientId, connectionId] = [queryParameter(ctx, 'client'), queryParameter(ctx, 'connection')]
  return findPlace(db, { clientId: clientId ?? '', connectionId: connectionId ?? '' })
}
