import type { Context } from 'koa'
import { type Html, html } from '../html.ts'
import { formatTime } from './language.ts'
import { type Frame, sendPage } from './layout.ts'
import { type LinkedAccount, linkedAccountsOf } from './linked-accounts.ts'
import type { RelyingParty, SignedIn } from './relying-party.ts'

/** The connection of the issuer's that this shop would like its customers to link. */
export const lineConnection = 'line'

export function sendAccount(
  ctx: Context,
  frame: Frame,
  signedIn: SignedIn,
  relyingParty: RelyingParty,
): void {
  const { text, language } = frame
  const name = claimText(signedIn, 'name')
  const accounts = linkedAccountsOf(signedIn)
  const body = html`<h1>${name ? `${text.hello}${name}` : text.helloAnonymous}</h1>
    ${linkResult(frame, signedIn.idTokenClaims.link_result)}
    <section class="panel">
      <dl class="facts">
        <div><dt>${text.memberId}</dt><dd><code>${signedIn.subject}</code></dd></div>
        <div><dt>${text.name}</dt><dd>${name ?? text.unknown}</dd></div>
        <div><dt>${text.email}</dt><dd>${claimText(signedIn, 'email') ?? text.unknown}</dd></div>
      </dl>
    </section>
    ${linkPrompt(frame, signedIn, relyingParty)}
    <section class="panel" aria-labelledby="linked">
      <div class="panel-head">
        <h2 id="linked">${text.linkedTitle}</h2>
        <form method="post" action="/account/refresh"><button type="submit" class="quiet">${text.refresh}</button></form>
      </div>
      <p class="soft">${text.linkedText}</p>
      ${linkedTable(frame, accounts)}
      ${accounts.some(({ connection }) => connection === lineConnection) ? '' : linkLine(frame)}
      <p class="soft">${text.refreshedAt}: <time datetime="${signedIn.refreshedAt.toISOString()}">${formatTime(language, signedIn.refreshedAt)}</time></p>
      <details><summary>${text.allClaims}</summary>
        <h3>${text.sourceIdToken}</h3>${json(text.sourceIdToken, signedIn.idTokenClaims)}
        <h3>${text.sourceUserinfo}</h3>${json(text.sourceUserinfo, signedIn.userinfo)}
      </details>
    </section>
    <section class="panel" aria-labelledby="sign-out">
      <h2 id="sign-out">${text.signOutTitle}</h2>
      <div class="ways">
        <form method="post" action="/sign-out"><button type="submit" class="quiet">${text.signOut}</button></form>
        <form method="post" action="/sign-out/everywhere"><button type="submit" class="quiet">${text.signOutEverywhere}</button></form>
      </div>
    </section>`
  sendPage(ctx, frame, text.myPage, body, 'wide')
}

/** The issuer's banner; it knows nobody who looks at this page, so what the store was told goes with it. */
function linkPrompt({ text }: Frame, signedIn: SignedIn, { linkPromptUrl }: RelyingParty): Html {
  const linked = linkedAccountsOf(signedIn).map(({ connection }) => connection)
  const isLinked = linked.includes('line')
  return html`<script src="${linkPromptUrl('link-prompt.js', 'line')}" data-linked="${linked.join(' ')}" data-return="/account" async></script>
    ${!isLinked && html`<noscript><p class="ways"><a class="button" href="${linkPromptUrl('prompt', 'line', '/account')}">${text.linkLine}</a></p></noscript>`}`
}

/** How the link ended that this shop asked for, in the ID token that answered it. */
function linkResult({ text }: Frame, result: unknown): Html | string {
  if (typeof result !== 'string') return ''
  const words = text.linkResults[result as keyof typeof text.linkResults] ?? text.linkResults.failed
  return html`<p class="panel" role="status">${words}</p>`
}

function linkLine({ text }: Frame): Html {
  return html`<form method="post" action="/account/link-line"><button type="submit" class="quiet">${text.linkFromHere}</button></form>`
}

/** Userinfo is fresher than the ID token, so it is asked first. */
function claimText(signedIn: SignedIn, claim: string): string | undefined {
  const value = signedIn.userinfo[claim] ?? signedIn.idTokenClaims[claim]
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** Roles are written out because narrow screens show the rows as cards, and CSS would take the table away. */
function linkedTable(frame: Frame, accounts: LinkedAccount[]): Html {
  const { text } = frame
  if (accounts.length === 0) {
    return html`<div class="empty"><p><strong>${text.linkedNone}</strong></p><p>${text.linkedNoneHint}</p></div>`
  }
  const heads = [text.connection, text.issuer, text.subject, text.linkedAt, text.source]
  return html`<table class="linked" role="table" aria-labelledby="linked">
    <thead role="rowgroup"><tr role="row">${heads.map((head) => html`<th role="columnheader" scope="col">${head}</th>`)}</tr></thead>
    <tbody role="rowgroup">${accounts.map((account) => linkedRow(frame, account))}</tbody>
  </table>`
}

function linkedRow({ text, language }: Frame, account: LinkedAccount): Html {
  const names = { id_token: text.sourceIdToken, userinfo: text.sourceUserinfo }
  const cell = (head: string, content: Html) =>
    html`<td role="cell"><span class="cell-head" aria-hidden="true">${head}</span><span>${content}</span></td>`
  return html`<tr role="row">
    ${cell(text.connection, html`<strong>${account.connection}</strong>`)}
    ${cell(text.issuer, html`${account.issuer}`)}
    ${cell(text.subject, html`<code>${account.subject}</code>`)}
    ${cell(text.linkedAt, html`${account.linkedAt ? formatTime(language, account.linkedAt) : text.unknown}`)}
    ${cell(
      text.source,
      html`${account.sources.map((source) => html`<span class="badge">${names[source]}</span> `)}`,
    )}
  </tr>`
}

function json(label: string, claims: Record<string, unknown>): Html {
  return html`<pre tabindex="0" role="region" aria-label="${label}">${JSON.stringify(claims, null, 2)}</pre>`
}
