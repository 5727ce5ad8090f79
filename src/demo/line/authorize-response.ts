import { SignJWT } from 'jose'
import type { Context } from 'koa'
import { redirectingPage, sendPage } from './html.ts'
import { lifetimeSeconds } from './lifetimes.ts'
import { nowSeconds, type Simulator } from './simulator.ts'
import type { LoginChannel, ResponseMode } from './state.ts'
import { textsFor } from './texts.ts'

type ResponseTarget = { redirectUri: string; responseMode: ResponseMode }

/** Takes the browser back to the client, in the response mode it asked for. */
export async function sendAuthorizationResponse(
  ctx: Context,
  sim: Simulator,
  channel: LoginChannel,
  target: ResponseTarget,
  answer: Record<string, string | undefined>,
): Promise<void> {
  const plain = Object.entries(answer).filter((entry): entry is [string, string] => entry[1] !== undefined)
  const isJwt = target.responseMode.endsWith('.jwt')
  const parameters: [string, string][] = isJwt
    ? [['response', await signResponse(sim, channel, Object.fromEntries(plain))]]
    : plain

  ctx.set('cache-control', 'no-store')
  if (target.responseMode.startsWith('form_post')) {
    sendPage(ctx, redirectingPage(textsFor(ctx), target.redirectUri, parameters))
    return
  }
  ctx.redirect(appendQuery(target.redirectUri, parameters))
}

/** JARM section 2.1, signed with the channel secret. */
function signResponse(
  sim: Simulator,
  channel: LoginChannel,
  parameters: Record<string, string>,
): Promise<string> {
  return new SignJWT(parameters)
    .setProtectedHeader({ typ: 'JWT', alg: 'HS256' })
    .setIssuer(sim.issuer)
    .setAudience(channel.id)
    .setExpirationTime(nowSeconds(sim) + lifetimeSeconds.authorizationCode)
    .sign(new TextEncoder().encode(channel.secret))
}

/** The callback URL's own query is kept as it was registered. */
function appendQuery(url: string, parameters: [string, string][]): string {
  return `${url}${url.includes('?') ? '&' : '?'}${new URLSearchParams(parameters)}`
}
