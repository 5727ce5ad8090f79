import type { Middleware } from 'koa'
import type { KoaContextWithOIDC } from 'oidc-provider'
import type { HttpContext } from '../http/context.ts'
import { render } from '../http/render.ts'
import { accountClientId } from './clients/account-client.ts'

/** The engine runs inside our shell, on the same context. */
const shellContext = (ctx: KoaContextWithOIDC) => ctx as unknown as HttpContext

/** OpenID Connect RP-Initiated Logout 1.0 section 2: the member is asked, because anybody can send a browser here. */
export function signOutPage(koaContext: KoaContextWithOIDC, form: string): void {
  render(shellContext(koaContext), 'oidc/sign-out', { form, clientName: nameOf(koaContext) })
}

export function signedOutPage(koaContext: KoaContextWithOIDC): void {
  render(shellContext(koaContext), 'oidc/signed-out', { clientName: nameOf(koaContext) })
}

/** How the engine writes a page that sends a form on: an answer to a relying party, or a change of accounts to itself. */
const engineForm = /<form method="post" (action="[^"]*")>\s*((?:<input type="hidden" [^>]*>\s*)*)<noscript>/

/**
 * OAuth 2.0 Form Post Response Mode section 2: the engine's page, in the member's language and with a button for browsers
 * without scripts. What it sends is the engine's own, escaped by the engine; a page of another form is left as it is.
 */
export const formPostPage: Middleware = async (koaContext, next) => {
  await next()
  const ctx = koaContext as unknown as HttpContext & KoaContextWithOIDC
  const [, action, inputs] = (typeof ctx.body === 'string' && engineForm.exec(ctx.body)) || []
  if (action) render(ctx, 'oidc/form-post', { action, inputs, clientName: nameOf(ctx) })
}

function nameOf(ctx: KoaContextWithOIDC): string | undefined {
  const { client } = ctx.oidc
  if (!client || client.clientId === accountClientId) return undefined
  const english = shellContext(ctx).state.locale === 'en' ? client['client_name#en'] : undefined
  return typeof english === 'string' ? english : client.clientName
}
