import Router from '@koa/router'
import { z } from 'zod'
import { html } from '../html.ts'
import { frameOf, sendNotice } from './layout.ts'
import { findProduct } from './products.ts'
import type { Sessions } from './sessions.ts'
import { sendCart, sendCheckout, sendProduct, sendShopFront } from './shop-pages.ts'

const maxQuantity = 9

const cartForm = z.object({
  product: z.string(),
  quantity: z.coerce.number().int().min(0).max(maxQuantity),
})

/** Shelves, cart and till. Anyone may fill a cart; only a signed-in member may order. */
export function createShopRoutes(sessions: Sessions): Router {
  const router = new Router()
  router.get('/', (ctx) => sendShopFront(ctx, frameOf(ctx, sessions.read(ctx))))
  router.get('/products/:id', (ctx) => {
    const product = findProduct(ctx.params.id ?? '')
    if (product) sendProduct(ctx, frameOf(ctx, sessions.read(ctx)), product)
  })
  router.get('/cart', (ctx) => sendCart(ctx, frameOf(ctx, sessions.read(ctx))))
  router.post('/cart/add', (ctx) => changeCart(ctx, sessions, (held, asked) => held + asked))
  router.post('/cart/set', (ctx) => changeCart(ctx, sessions, (_held, asked) => asked))
  router.get('/checkout', (ctx) => {
    const session = sessions.read(ctx)
    if (session.cart.size === 0) return ctx.redirect('/cart')
    if (!session.signedIn) return ctx.redirect('/sign-in?return_to=/checkout')
    sendCheckout(ctx, frameOf(ctx, session))
  })
  router.post('/checkout', (ctx) => {
    const session = sessions.read(ctx)
    if (!session.signedIn) return seeOther(ctx, '/checkout')
    session.cart.clear()
    seeOther(ctx, '/thanks')
  })
  router.get('/thanks', (ctx) => {
    const frame = frameOf(ctx, sessions.read(ctx))
    const { thanksTitle: title, thanksText: text, backToShop } = frame.text
    sendNotice(ctx, frame, { title, text, ways: html`<a class="button" href="/">${backToShop}</a>` })
  })
  return router
}

type ShopContext = Parameters<Parameters<Router['get']>[1]>[0]

function changeCart(
  ctx: ShopContext,
  sessions: Sessions,
  change: (held: number, asked: number) => number,
): void {
  const form = cartForm.safeParse(ctx.request.body)
  if (!form.success || !findProduct(form.data.product)) ctx.throw(400)
  const session = sessions.read(ctx)
  const { product, quantity } = form.data
  const next = Math.min(maxQuantity, change(session.cart.get(product) ?? 0, quantity))
  if (next > 0) session.cart.set(product, next)
  else session.cart.delete(product)
  sessions.keep(ctx, session)
  seeOther(ctx, '/cart')
}

/** RFC 9110 section 15.4.4: after a form the browser goes on with GET. */
function seeOther(ctx: ShopContext, path: string): void {
  ctx.status = 303
  ctx.redirect(path)
}
