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
const engineForm = /<form method="post" action="([^"]*)">\s*((?:<input type="hidden" [^>]*>\s*)*)<noscript>/
const engineInput = /name="([^"]*)" value="([^"]*)"/g

/**
 * OAuth 2.0 Form Post Response Mode section 2: the engine's page, in the member's language and with a button for browsers
 * without scripts. It sends what the engine's would have sent; a page of another form is left as it is.
 */
export const formPostPage: Middleware = async (koaContext, next) => {
  await next()
  const ctx = koaContext as unknown as HttpContext & KoaContextWithOIDC
  const [, action, inputs = ''] = (typeof ctx.body === 'string' && engineForm.exec(ctx.body)) || []
  if (action === undefined) return
  const fields = [...inputs.matchAll(engineInput)].map(([, name = '', value = '']) => [name, textOf(value)])
  render(ctx, 'oidc/form-post', { action: textOf(action), inputs: fields, clientName: nameOf(ctx) })
}

const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" }

/** What the engine has escaped, as it was. */
const textOf = (html: string) =>
  html.replace(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => entities[name] ?? '')

function nameOf(ctx: KoaContextWithOIDC): string | undefined {
  const { client } = ctx.oidc
  if (!client || client.clientId === accountClientId) return undefined
  const english = shellContext(ctx).state.locale === 'en' ? client['client_name#en'] : undefined
  return typeof english === 'string' ? english : client.clientName
}
