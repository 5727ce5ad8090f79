import { readFile } from 'node:fs/promises'
import Router from '@koa/router'
import Koa, { type Context, type Next } from 'koa'
import type { MailStore } from './mail-store.ts'
import { type Language, pickLanguage, texts } from './text.ts'
import { listPage, messagePage, missingPage } from './views.ts'

const stylesheet = new URL('./inbox.css', import.meta.url)

/** The web side of the inbox: a list, one mail, and the same as JSON for tests. */
export function createInboxApp(store: MailStore): Koa {
  const router = new Router()
  router.get('/', (ctx) => {
    const to = firstOf(ctx.query.to)?.trim() || undefined
    ctx.body = listPage({ ...viewOf(ctx), messages: store.list(to), to })
  })
  router.get('/messages.json', (ctx) => {
    ctx.body = store.list(firstOf(ctx.query.to))
  })
  router.get('/messages/:id', (ctx) => {
    const message = store.find(ctx.params.id ?? '')
    ctx.status = message ? 200 : 404
    ctx.body = message ? messagePage({ ...viewOf(ctx), message }) : missingPage(viewOf(ctx))
  })
  router.post('/clear', async (ctx) => {
    await store.clear()
    ctx.status = 303
    ctx.redirect('/')
  })
  router.get('/inbox.css', async (ctx) => {
    ctx.type = 'text/css'
    ctx.body = await readFile(stylesheet)
  })
  const app = new Koa()
  app.use(guard).use(router.routes()).use(router.allowedMethods())
  return app
}

/**
 * Mails are other people's markup: nothing of theirs may run, load or send. A frame made with srcdoc
 * inherits this policy (HTML section 7.2.6), and style attributes are all that it leaves them.
 */
const contentSecurityPolicy = [
  "default-src 'none'",
  "style-src 'self' 'unsafe-inline'",
  'img-src data:',
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ')

async function guard(ctx: Context, next: Next): Promise<void> {
  ctx.set('Content-Security-Policy', contentSecurityPolicy)
  ctx.set('X-Content-Type-Options', 'nosniff')
  ctx.set('Referrer-Policy', 'same-origin')
  ctx.set('Cache-Control', 'no-store')
  // A page of another site may not press our buttons; a script without a browser sends no Origin.
  const origin = ctx.get('Origin')
  const isForeign = origin !== '' && URL.parse(origin)?.host !== ctx.host
  if (ctx.method === 'POST' && isForeign) ctx.throw(403, 'This form came from another site')
  await next()
}

function viewOf(ctx: Context): { language: Language; text: (typeof texts)['en']; path: string } {
  const asked = firstOf(ctx.query.lang)
  const language = pickLanguage(asked ?? ctx.cookies.get('inbox_lang'), ctx.get('Accept-Language'))
  if (asked === language) ctx.cookies.set('inbox_lang', language, { sameSite: 'lax' })
  return { language, text: texts[language], path: ctx.path }
}

function firstOf(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value
}
