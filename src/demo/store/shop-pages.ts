import type { Context } from 'koa'
import { type Html, html } from '../html.ts'
import { formatPrice, type Language } from './language.ts'
import { type Frame, sendPage } from './layout.ts'
import { findProduct, type Product, pictureOf, products } from './products.ts'
import type { ShopSession } from './sessions.ts'

export function sendShopFront(ctx: Context, frame: Frame): void {
  const { text, session } = frame
  const body = html`<section class="hero">
      <div class="hero-text">
        <p class="eyebrow">${text.tagline}</p>
        <h1>${text.heroTitle}</h1>
        <p>${text.heroText}</p>
        <p class="ways"><a class="button" href="#products">${text.heroAction}</a></p>
      </div>
      <div class="hero-pictures">${products.slice(0, 3).map(pictureOf)}</div>
    </section>
    ${!session?.signedIn && memberBanner(frame)}
    <section aria-labelledby="products">
      <h2 id="products">${text.products}</h2>
      <ul class="shelf">${products.map((product) => card(frame, product))}</ul>
    </section>`
  sendPage(ctx, frame, text.tagline, body)
}

function memberBanner({ text }: Frame): Html {
  return html`<section class="banner" aria-labelledby="member-banner">
    <div><h2 id="member-banner">${text.bannerTitle}</h2><p>${text.bannerText}</p></div>
    <a class="button" href="/sign-in">${text.signIn}</a>
  </section>`
}

function card(frame: Frame, product: Product): Html {
  const { language } = frame
  return html`<li class="card">
    ${pictureOf(product)}
    <h3><a href="/products/${product.id}">${product.name[language]}</a></h3>
    <p class="price">${price(frame, product.yen)}</p>
  </li>`
}

function price({ language, text }: Frame, yen: number): Html {
  return html`<strong>${formatPrice(language, yen)}</strong> <small>${text.taxIncluded}</small>`
}

export function sendProduct(ctx: Context, frame: Frame, product: Product): void {
  const { text, language } = frame
  const body = html`<p><a href="/">← ${text.backToShop}</a></p>
    <article class="product">
      ${pictureOf(product)}
      <div>
        <h1>${product.name[language]}</h1>
        <p class="price">${price(frame, product.yen)}</p>
        <p>${product.text[language]}</p>
        <dl class="facts">
          <div><dt>${text.material}</dt><dd>${product.material[language]}</dd></div>
          <div><dt>${text.size}</dt><dd>${product.size}</dd></div>
        </dl>
        <form method="post" action="/cart/add" class="buy">
          <input type="hidden" name="product" value="${product.id}">
          ${quantityField(frame, product, 1, 1)}
          <button type="submit">${text.addToCart}</button>
        </form>
      </div>
    </article>`
  sendPage(ctx, frame, product.name[language], body)
}

function quantityField({ text, language }: Frame, product: Product, value: number, from: number): Html {
  const options = Array.from({ length: 10 - from }, (_, index) => index + from)
  return html`<label class="quantity"><span>${text.quantity}</span>
    <select name="quantity" aria-label="${text.quantity}: ${product.name[language]}">${options.map(
      (option) =>
        option === value ? html`<option selected>${option}</option>` : html`<option>${option}</option>`,
    )}</select></label>`
}

interface CartLine {
  product: Product
  quantity: number
}

function linesOf(session: ShopSession | undefined): CartLine[] {
  const lines: CartLine[] = []
  for (const [id, quantity] of session?.cart ?? []) {
    const product = findProduct(id)
    if (product) lines.push({ product, quantity })
  }
  return lines
}

export function sendCart(ctx: Context, frame: Frame): void {
  const { text, session } = frame
  const lines = linesOf(session)
  const body =
    lines.length === 0
      ? html`<section class="notice"><h1>${text.cart}</h1><p>${text.cartEmpty}</p>
          <p class="ways"><a class="button" href="/">${text.backToShop}</a></p></section>`
      : html`<h1>${text.cart}</h1>
          <ul class="cart">${lines.map((line) => cartLine(frame, line))}</ul>
          ${totalOf(frame, lines)}
          <p class="ways end"><a class="button" href="/checkout">${session?.signedIn ? text.checkout : text.checkoutSignIn}</a>
            <a href="/">${text.backToShop}</a></p>`
  sendPage(ctx, frame, text.cart, body, 'medium')
}

function cartLine(frame: Frame, { product, quantity }: CartLine): Html {
  const { text, language } = frame
  return html`<li>
    ${pictureOf(product)}
    <div class="cart-name"><a href="/products/${product.id}">${product.name[language]}</a>
      <span>${formatPrice(language, product.yen * quantity)}</span></div>
    <form method="post" action="/cart/set">
      <input type="hidden" name="product" value="${product.id}">
      ${quantityField(frame, product, quantity, 0)}
      <button type="submit" class="quiet" aria-label="${text.cartUpdate}: ${product.name[language]}">${text.cartUpdate}</button>
    </form>
  </li>`
}

function totalOf({ text, language }: Frame, lines: CartLine[]): Html {
  const yen = lines.reduce((sum, { product, quantity }) => sum + product.yen * quantity, 0)
  return html`<p class="total"><span>${text.total}</span> <strong>${formatPrice(language, yen)}</strong>
    <small>${text.taxIncluded}</small></p>`
}

export function sendCheckout(ctx: Context, frame: Frame): void {
  const { text, language, session } = frame
  const lines = linesOf(session)
  const body = html`<h1>${text.checkoutTitle}</h1>
    <p>${text.checkoutText}</p>
    <section class="panel" aria-label="${text.checkoutTitle}">
      <dl class="facts">
        <div><dt>${text.memberId}</dt><dd class="amount"><code>${session?.signedIn?.subject}</code></dd></div>
        ${lines.map((line) => orderLine(language, line))}
      </dl>
      ${totalOf(frame, lines)}
    </section>
    <form method="post" action="/checkout" class="ways end">
      <button type="submit">${text.placeOrder}</button><a href="/cart">${text.cart}</a>
    </form>`
  sendPage(ctx, frame, text.checkoutTitle, body, 'medium')
}

function orderLine(language: Language, { product, quantity }: CartLine): Html {
  return html`<div><dt>${product.name[language]} × ${quantity}</dt>
    <dd class="amount">${formatPrice(language, product.yen * quantity)}</dd></div>`
}
