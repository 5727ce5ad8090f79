import { type ErrorOut, errors, type KoaContextWithOIDC } from 'oidc-provider'
import type { HttpContext } from '../http/context.ts'
import { render } from '../http/render.ts'
import { accountClientId } from './clients/account-client.ts'

/** The engine runs inside our shell, on the same context. */
const shellContext = (ctx: KoaContextWithOIDC) => ctx as unknown as HttpContext

/** An authorization error that must not go back to the client (RFC 6749 section 4.1.2.1): the person sees it here. */
export function renderEngineError(koaContext: KoaContextWithOIDC, out: ErrorOut, error: Error): void {
  const ctx = shellContext(koaContext)
  const { t, requestId, log } = ctx.state
  const code = problemOf(error, out.error)
  log.info({ problem: code, oauthError: out.error, detail: out.error_description }, 'authorization refused')
  render(ctx, 'error', {
    code: out.error,
    title: t(`problem.${code}.title`),
    detail: t(`problem.${code}.detail`, { description: out.error_description ?? out.error }),
    requestId,
  })
}

function problemOf(error: Error, code: string) {
  if (error instanceof errors.SessionNotFound) return 'interaction_over'
  if (error instanceof errors.InvalidClient) return 'client_unavailable'
  if (code === 'temporarily_unavailable') return 'unavailable'
  return code === 'server_error' ? 'internal_error' : 'authorization_refused'
}

/** OpenID Connect RP-Initiated Logout 1.0 section 2: the member is asked, because anybody can send a browser here. */
export function signOutPage(koaContext: KoaContextWithOIDC, form: string): void {
  render(shellContext(koaContext), 'oidc/sign-out', { form, clientName: nameOf(koaContext) })
}

export function signedOutPage(koaContext: KoaContextWithOIDC): void {
  render(shellContext(koaContext), 'oidc/signed-out', { clientName: nameOf(koaContext) })
}

function nameOf(ctx: KoaContextWithOIDC): string | undefined {
  const { client } = ctx.oidc
  if (!client || client.clientId === accountClientId) return undefined
  const english = shellContext(ctx).state.locale === 'en' ? client['client_name#en'] : undefined
  return typeof english === 'string' ? english : client.clientName
}
