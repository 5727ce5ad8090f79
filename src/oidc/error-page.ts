import { type ErrorOut, errors, type KoaContextWithOIDC } from 'oidc-provider'
import type { HttpContext } from '../http/context.ts'
import { speak } from '../http/locale.ts'
import { render } from '../http/render.ts'
import type { ProblemCode } from '../problem.ts'
import type { Db } from '../store/db.ts'
import { type ClientHome, findClientHome } from './clients/client-home.ts'
import { explainMismatch, plainText, type RedirectMismatch } from './redirect-mismatch.ts'

/** What whoever runs the relying party needs to find the fault. */
interface DeveloperReport {
  error: string
  description: string | undefined
  clientId: string | undefined
  redirect: RedirectMismatch | undefined
}

/**
 * An authorization error that must not go back to the client (RFC 6749 section 4.1.2.1): the person sees it here, and
 * where to go back to as it was registered; the developer finds the cause behind a fold. Nothing of the request is a
 * link, and what is shown of it is short and plain.
 */
export function renderEngineError(db: Db) {
  return async (koaContext: KoaContextWithOIDC, out: ErrorOut, error: Error): Promise<void> => {
    // The engine runs inside our shell, on the same context.
    const ctx = koaContext as unknown as HttpContext
    const params = requestOf(koaContext)
    speak(ctx, params.ui_locales)
    const isPage = isAuthorization(koaContext)
    // Whatever the error is, the page of it must not fail: a store that is down may be the reason for it.
    const client = isPage
      ? await findClientHome(db, params.client_id, ctx.state.locale).catch(() => undefined)
      : undefined
    const code = problemOf(error, out.error, client)
    const developer = isPage ? reportOf(koaContext, out, error, params) : undefined
    ctx.state.log.info(
      { problem: code, oauthError: out.error, detail: out.error_description, ...developer },
      'authorization refused',
    )
    answer(ctx, { code, out, client, developer })
  }
}

interface Refusal {
  code: ProblemCode
  out: ErrorOut
  client: ClientHome | undefined
  developer: DeveloperReport | undefined
}

function answer(ctx: HttpContext, { code, out, client, developer }: Refusal): void {
  const { t, requestId } = ctx.state
  const title = t(`problem.${code}.title`)
  const detail = t(`problem.${code}.detail`, { description: out.error_description ?? out.error })
  if (ctx.accepts('html', 'json') === 'json') {
    ctx.type = 'application/problem+json'
    ctx.set('Cache-Control', 'no-store')
    const { status } = ctx
    ctx.body = JSON.stringify({
      type: 'about:blank',
      title,
      status,
      detail,
      code,
      requestId,
      ...out,
      ...developer,
    })
    return
  }
  const back = client?.uri && { href: client.uri, label: t('error.back_to', { name: client.name }) }
  render(ctx, 'error', {
    code: out.error,
    title,
    detail,
    requestId,
    ...(back ? { back } : client && !client.isDisabled && { cameFrom: client.name }),
    developer,
  })
}

/** The request as far as it was understood, wherever it came from: query, pushed request, request object, interaction. */
function requestOf({ oidc, query }: KoaContextWithOIDC): Record<string, unknown> {
  const waiting = oidc.entities.Interaction?.params
  return { ...query, ...waiting, ...oidc.params }
}

/** Where a person is in front of the browser. */
function isAuthorization({ oidc }: KoaContextWithOIDC): boolean {
  return oidc.route === 'authorization' || oidc.route === 'resume'
}

function reportOf(
  { oidc }: KoaContextWithOIDC,
  out: ErrorOut,
  error: Error,
  { client_id: clientId, redirect_uri: redirectUri, request_uri: requestUri }: Record<string, unknown>,
): DeveloperReport {
  const received = typeof redirectUri === 'string' ? redirectUri : undefined
  const isMismatch =
    error instanceof errors.InvalidRedirectUri || (received === undefined && requestUri === undefined)
  const registered = isMismatch ? oidc.client?.redirectUris : undefined
  return {
    error: out.error,
    description: out.error_description && plainText(out.error_description, 200),
    clientId: typeof clientId === 'string' ? plainText(clientId, 64) : undefined,
    redirect: registered && explainMismatch(received, registered),
  }
}

function problemOf(error: Error, code: string, client: ClientHome | undefined): ProblemCode {
  if (error instanceof errors.SessionNotFound) return 'interaction_over'
  if (error instanceof errors.InvalidRedirectUri) return 'redirect_uri_mismatch'
  if (error instanceof errors.InvalidRequestUri) return 'request_uri_over'
  if (error instanceof errors.InvalidClient)
    return client?.isDisabled ? 'client_disabled' : 'client_unavailable'
  if (code === 'temporarily_unavailable') return 'unavailable'
  return code === 'server_error' ? 'internal_error' : 'authorization_refused'
}
