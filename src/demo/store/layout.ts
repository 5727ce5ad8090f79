import type { Context } from 'koa'
import { type Html, html } from '../html.ts'
import { type Language, languageOf, texts } from './language.ts'
import { cartCount, type ShopSession } from './sessions.ts'
import type { Text } from './text-en.ts'

/** What every page needs to know of the request it answers. */
export interface Frame {
  language: Language
  text: Text
  /** The shop's session; the pages of the store's own accounts have none. */
  session: ShopSession | undefined
  switchLanguageUrl: string
}

export function frameOf(ctx: Context, session?: ShopSession, uiLocales?: string): Frame {
  const language = languageOf(ctx, uiLocales)
  const query = new URLSearchParams(ctx.querystring)
  query.set('lang', language === 'ja' ? 'en' : 'ja')
  return { language, text: texts[language], session, switchLanguageUrl: `${ctx.path}?${query}` }
}

/** Sends one whole page; `narrow` is for pages that ask one thing. */
export function sendPage(ctx: Context, frame: Frame, title: string, body: Html, width = ''): void {
  const { text, language } = frame
  ctx.type = 'html'
  ctx.body = html`<!doctype html>
<html lang="${language}">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>${title} – ${text.storeName}</title>
  <link rel="icon" href="/favicon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/store.css">
</head>
<body>
  <a class="skip" href="#main">${text.skip}</a>
  ${header(frame)}
  <main id="main" class="${width}">${body}</main>
  ${footer(frame)}
</body>
</html>`.markup
}

/** One message and the ways on from it. */
export function sendNotice(
  ctx: Context,
  frame: Frame,
  notice: { title: string; text: string; ways: Html; detail?: string },
): void {
  const body = html`<section class="notice">
    <h1>${notice.title}</h1>
    <p>${notice.text}</p>
    <p class="ways">${notice.ways}</p>
    ${notice.detail && html`<details><summary>${frame.text.details}</summary><code>${notice.detail}</code></details>`}
  </section>`
  sendPage(ctx, frame, notice.title, body, 'narrow')
}

function header(frame: Frame): Html {
  const { text, session } = frame
  return html`<header class="top">
    <a class="brand" href="/">${mark}<span>${text.storeName}</span></a>
    ${session && shopLinks(text, session)}
    ${languageLink(frame)}
  </header>`
}

/** Only the shop's own pages lead to other forms; whoever signs in for another site stays on the way. */
function footer(frame: Frame): Html {
  const { text, session } = frame
  return html`<footer><p>${text.footer}</p>
    ${session && html`<p><a href="/store-account/sign-up">${text.storeAccountLink}</a></p><p>${languageLink(frame)}</p>`}
  </footer>`
}

function languageLink({ text, language, switchLanguageUrl }: Frame): Html {
  const other = language === 'ja' ? 'en' : 'ja'
  return html`<a class="language" href="${switchLanguageUrl}" lang="${other}" hreflang="${other}">${text.otherLanguage}</a>`
}

function shopLinks(text: Text, session: ShopSession): Html {
  const count = cartCount(session)
  return html`<nav aria-label="${text.shop}">
    <a href="/cart" class="cart-link">${bag}<span>${text.cart}</span>${count > 0 && html`<span class="count">${count}</span>`}</a>
    ${
      session.signedIn
        ? html`<a href="/account" class="button small">${text.myPage}</a>`
        : html`<a href="/sign-in" class="button small">${text.signInShort}</a>`
    }
  </nav>`
}

const mark = html`<svg class="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
  <rect width="32" height="32" rx="9" fill="#1f5c4a"/>
  <path d="M8 13h16l-1.500 11a2 2 0 0 1-2 2h-9a2 2 0 0 1-2-2z" fill="#f3e7cf"/>
  <path d="M11.500 13c0-9 9-9 9 0" fill="none" stroke="#e0a458" stroke-width="2.500"/>
</svg>`

const bag = html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
  <path d="M5 8h14l-1 12H6zM9 8c0-6 6-6 6 0" fill="none" stroke="currentColor" stroke-width="2" stroke-linejoin="round"/>
</svg>`

/** The same mark as a file, for the browser's tab. */
export const favicon = mark.markup.replace('<svg ', '<svg xmlns="http://www.w3.org/2000/svg" ')
