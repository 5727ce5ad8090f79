import { type Html, html } from '../html.ts'
import type { Message } from './mail-store.ts'
import type { Language, Text } from './text.ts'

interface View {
  language: Language
  text: Text
  path: string
}

export function listPage(view: View & { messages: Message[]; to: string | undefined }): string {
  const { text, messages, to } = view
  return page(
    view,
    text.title,
    html`<h1>${text.title}</h1>
      <p class="lead">${text.lead}</p>
      <div class="tools">
        <form method="get" action="/" class="filter">
          <label for="to">${text.filter}</label>
          <input id="to" name="to" type="text" inputmode="email" autocomplete="off" value="${to}">
          <button type="submit">${text.filterButton}</button>
        </form>
        <div class="actions">
          <a class="button" href="${to ? `/?to=${encodeURIComponent(to)}` : '/'}">${text.reload}</a>
          ${
            messages.length > 0 &&
            html`<form method="post" action="/clear">
            <button type="submit" class="quiet">${text.clear}</button>
          </form>`
          }
        </div>
      </div>
      ${to && html`<p><a href="/">${text.showAll}</a></p>`}
      ${messages.length === 0 ? emptyList(text) : messageList(view, messages)}`,
  )
}

export function messagePage(view: View & { message: Message }): string {
  const { text, message } = view
  const subject = message.subject || text.noSubject
  return page(
    view,
    subject,
    html`<p><a href="/" class="back">← ${text.back}</a></p>
      <h1>${subject}</h1>
      <dl class="envelope">
        <div><dt>${text.from}</dt><dd>${message.from}</dd></div>
        <div><dt>${text.to}</dt><dd>${message.to.join(', ')}</dd></div>
        <div><dt>${text.received}</dt><dd>${time(view, message)}</dd></div>
      </dl>
      ${
        message.html &&
        html`<section><h2>${text.asHtml}</h2>
        <iframe title="${text.asHtml}: ${subject}" srcdoc="${frameDocument(message.html)}"
          sandbox="allow-popups allow-popups-to-escape-sandbox" referrerpolicy="no-referrer"></iframe></section>`
      }
      <section><h2>${text.asText}</h2><pre tabindex="0" role="region" aria-label="${text.asText}">${linkify(message.text)}</pre></section>`,
  )
}

export function missingPage(view: View): string {
  return page(
    view,
    view.text.missing,
    html`<h1>${view.text.missing}</h1><p><a href="/" class="back">← ${view.text.back}</a></p>`,
  )
}

function emptyList(text: Text): Html {
  return html`<div class="empty"><p><strong>${text.empty}</strong></p><p>${text.emptyHint}</p></div>`
}

function messageList(view: View, messages: Message[]): Html {
  return html`<p class="count">${messages.length} ${view.text.messages}</p>
    <ol class="messages">${messages.map(
      (message) => html`<li><a href="/messages/${message.id}">
        <span class="subject">${message.subject || view.text.noSubject}</span>
        <span class="meta"><span class="to">${message.to.join(', ')}</span>${time(view, message)}</span>
        <span class="preview">${message.text.replace(/\s+/g, ' ').slice(0, 120)}</span>
      </a></li>`,
    )}</ol>`
}

/** The mail's own document: its links open beside the inbox, its scripts and pictures stay dead. */
function frameDocument(mail: string): string {
  return `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:"><base target="_blank">${mail}`
}

function linkify(text: string): Html[] {
  return text
    .split(/(https?:\/\/[^\s<>"'）」]+)/)
    .map((piece, index) =>
      index % 2 === 1
        ? html`<a href="${piece}" target="_blank" rel="noreferrer">${piece}</a>`
        : html`${piece}`,
    )
}

function time(view: View, message: Message): Html {
  const format = new Intl.DateTimeFormat(view.language, { dateStyle: 'medium', timeStyle: 'medium' })
  return html`<time datetime="${message.receivedAt}">${format.format(new Date(message.receivedAt))}</time>`
}

function page(view: View, title: string, body: Html): string {
  const other = view.language === 'ja' ? 'en' : 'ja'
  return html`<!doctype html>
<html lang="${view.language}">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>${title}</title>
  <link rel="icon" href="data:,">
  <link rel="stylesheet" href="/inbox.css">
</head>
<body>
  <header><a href="/" class="home">✉ ${view.text.title}</a>
    <a href="${view.path}?lang=${other}" lang="${other}" hreflang="${other}">${view.text.other}</a></header>
  <main>${body}</main>
</body>
</html>`.markup
}
