import { type Client, errors, type KoaContextWithOIDC } from 'oidc-provider'
import { z } from 'zod'
import type { HttpContext } from '../http/context.ts'
import { sourceOf } from '../http/rate-limit.ts'
import { render } from '../http/render.ts'
import { Problem, type ProblemCode } from '../problem.ts'
import { routes } from './routes.ts'

/** What can be wrong with a code: a key below `field_error`, behind `user_code_`. */
type CodeFault = 'not_found' | 'expired' | 'used' | 'form_expired'

const faults: Record<string, CodeFault> = {
  NoCodeError: 'not_found',
  NotFoundError: 'not_found',
  ExpiredError: 'expired',
  AlreadyUsedError: 'used',
}

/** A code as people type it: in any letter case, full-width, with or without the hyphen (RFC 8628 section 6.1). */
export function readUserCode(typed: string): string {
  return typed
    .normalize('NFKC')
    .toUpperCase()
    .replace(/[^A-Z]/g, '')
}

/** The page on which a code is entered, with what was wrong with the one before. @throws Problem where no code helps */
export function enterCodePage(koaContext: KoaContextWithOIDC, fault?: Error | CodeFault): void {
  const ctx = shellContext(koaContext)
  if (fault instanceof Error && fault.name === 'AbortedError') {
    ctx.status = 200
    render(ctx, 'oidc/device-declined')
    return
  }
  const code = fault instanceof Error ? faultOf(fault) : fault
  ctx.status = code === undefined ? 200 : 400
  render(ctx, 'oidc/device-enter', {
    action: routes.code_verification,
    userCode: typedCode(koaContext),
    ...(code && { fields: { user_code: `user_code_${code}` } }),
  })
}

function faultOf(error: Error): CodeFault {
  const known = faults[error.name]
  if (known) return known
  if (error.cause instanceof Problem) throw error.cause
  if (!(error instanceof errors.OIDCProviderError)) throw error
  const code = problemOf(error)
  if (!code) return 'form_expired'
  throw new Problem(code, { cause: error, params: { description: error.message } })
}

function problemOf(error: errors.OIDCProviderError): ProblemCode | undefined {
  if (error instanceof errors.SessionNotFound) return 'interaction_over'
  if (error instanceof errors.InvalidClient) return 'client_unavailable'
  if (error instanceof errors.TemporarilyUnavailable) return 'unavailable'
  // What a form of ours could not have sent: it is older than the one that was shown last.
  return error instanceof errors.InvalidRequest ? undefined : 'authorization_refused'
}

/**
 * RFC 8628 section 5.4: whoever sends a member a code of their own device wants the member's account on it. So the page
 * says what asks, shows the code to compare it, and says when to refuse.
 */
export function confirmPage(
  koaContext: KoaContextWithOIDC,
  client: Client,
  deviceInfo: object,
  userCode: string,
): void {
  const ctx = shellContext(koaContext)
  const { ip, userAgent } = device.parse(deviceInfo)
  render(ctx, 'oidc/device-confirm', {
    action: routes.code_verification,
    xsrf: koaContext.oidc.session?.state?.secret,
    client: { name: nameOf(client, ctx) },
    device: deviceKind(userAgent),
    address: ip.replace(/^::ffff:/, ''),
    isNear: sourceOf(ip) === sourceOf(ctx.ip),
    userCode: userCode.replace(/^(.{4})-?(.{4})$/, '$1-$2'),
  })
}

export function connectedPage(koaContext: KoaContextWithOIDC): void {
  const ctx = shellContext(koaContext)
  const { client } = koaContext.oidc
  render(ctx, 'oidc/device-connected', { client: { name: client ? nameOf(client, ctx) : '' } })
}

const device = z.object({ ip: z.string().default(''), userAgent: z.string().default('') })

/** What a device says to be, as far as a member can check it; the rest of what it says is for machines. */
const kinds = [
  ['tv', /tv|bravia|web0s|tizen|roku|aft[a-z]|crkey|hbbtv/i],
  ['console', /playstation|xbox|nintendo/i],
  ['ios', /iphone|ipad|ipod/i],
  ['android', /android/i],
  ['windows', /windows/i],
  ['mac', /macintosh|mac os|darwin/i],
  ['linux', /linux|x11/i],
] as const

function deviceKind(userAgent: string): string {
  return kinds.find(([, pattern]) => pattern.test(userAgent))?.[0] ?? 'unknown'
}

function typedCode({ oidc }: KoaContextWithOIDC): string {
  const { user_code: typed } = oidc.params ?? {}
  return typeof typed === 'string' ? typed.slice(0, 40) : ''
}

function nameOf(client: Client, ctx: HttpContext): string {
  const english = ctx.state.locale === 'en' ? client['client_name#en'] : undefined
  return typeof english === 'string' ? english : (client.clientName ?? client.clientId)
}

/** The engine runs inside our shell, on the same context. */
const shellContext = (ctx: KoaContextWithOIDC) => ctx as unknown as HttpContext
