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

function nameOf(ctx: KoaContextWithOIDC): string | undefined {
  const { client } = ctx.oidc
  if (!client || client.clientId === accountClientId) return undefined
  const english = shellContext(ctx).state.locale === 'en' ? client['client_name#en'] : undefined
  return typeof english === 'string' ? english : client.clientName
}
