import type { Context, Middleware, Next } from 'koa'
import { html } from '../html.ts'
import { frameOf, sendNotice } from './layout.ts'

/**
 * What holds for every request: it names our host, no other site presses our buttons, and nothing but
 * our own stylesheet and pictures, and the issuer's prompt to link, loads.
 */
export function createGuard(url: URL, issuer: string): Middleware {
  // The prompt to link is the issuer's: its script, and telling it that it was shown.
  const prompt = new URL(issuer).origin
  return async (ctx: Context, next: Next) => {
    // The engine builds its endpoints from the Host header, so a foreign one must not reach it.
    if (ctx.host !== url.host) return redirectHome(ctx, url)
    if (isForeignPost(ctx, url)) ctx.throw(403)
    ctx.set('X-Content-Type-Options', 'nosniff')
    ctx.set('Referrer-Policy', 'same-origin')
    // No form-action: browsers apply it to every redirect after a form, and ours lead to other origins.
    // script-src is there because the engine adds the hash of its one script, on its sign-out page, to it.
    ctx.set(
      'Content-Security-Policy',
      `default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self' ${prompt}; connect-src ${prompt}; base-uri 'none'; frame-ancestors 'none'`,
    )
    await next()
  }
}

function redirectHome(ctx: Context, url: URL): void {
  if (ctx.method !== 'GET' && ctx.method !== 'HEAD') ctx.throw(421)
  ctx.redirect(new URL(ctx.url, url).href)
}

/** Relying parties post to the engine's own paths without a browser; those carry their own proof. */
function isForeignPost(ctx: Context, url: URL): boolean {
  if (ctx.method !== 'POST' || ctx.path.startsWith('/op/')) return false
  const origin = ctx.get('Origin')
  return origin !== '' && origin !== url.origin
}

/** Turns a missing page or a bug into a page of the shop; the bug goes to the console. */
export const friendlyErrors: Middleware = async (ctx: Context, next: Next) => {
  try {
    await next()
    if (ctx.status !== 404 || ctx.body || ctx.respond === false) return
  } catch (error) {
    const status = statusOf(error)
    if (status === 500) console.error(error)
    const { text } = frameOf(ctx)
    sendNotice(ctx, frameOf(ctx), {
      title: text.brokenTitle,
      text: text.brokenText,
      ways: wayHome(text.backToShop),
    })
    ctx.status = status
    return
  }
  const { text } = frameOf(ctx)
  sendNotice(ctx, frameOf(ctx), {
    title: text.missingTitle,
    text: text.missingText,
    ways: wayHome(text.backToShop),
  })
  ctx.status = 404
}

function statusOf(error: unknown): number {
  return error instanceof Error && 'status' in error && typeof error.status === 'number' ? error.status : 500
}

function wayHome(label: string) {
  return html`<a class="button" href="/">${label}</a>`
}
