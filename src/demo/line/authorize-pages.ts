import { type Html, html, type Page } from './html.ts'
import type { Person } from './state.ts'
import { fill, type Texts } from './texts.ts'

type LoginPage = {
  texts: Texts
  action: string
  channelName: string
  persons: Person[]
  maySwitchMethod: boolean
  failed?: boolean
}

export function passwordPage({
  texts,
  action,
  channelName,
  persons,
  maySwitchMethod,
  failed,
}: LoginPage): Page {
  return {
    texts,
    title: texts.loginTitle,
    body: html`<p class="soft">${fill(texts.loginTo, { channel: channelName })}</p>
${failed && html`<p class="error" role="alert">${texts.loginFailed}</p>`}
<h2>${texts.choosePerson}</h2>
<p class="soft">${texts.choosePersonNote}</p>
${personButtons(`${action}/login`, persons)}
<h2>${texts.orWithEmail}</h2>
<form method="post" action="${action}/login">
<label>${texts.email}<input type="email" name="email" autocomplete="username" required></label>
<label>${texts.password}<input type="password" name="password" autocomplete="current-password" required></label>
<button class="main">${texts.logIn}</button>
</form>
${maySwitchMethod && html`<a class="button" href="${action}?method=qr">${texts.useQr}</a>`}`,
  }
}

export function qrPage({ texts, action, channelName, persons, maySwitchMethod }: LoginPage): Page {
  return {
    texts,
    title: texts.qrTitle,
    body: html`<p class="soft">${fill(texts.loginTo, { channel: channelName })}</p>
<p>${texts.qrNote}</p>
${personButtons(`${action}/login?method=qr`, persons)}
${maySwitchMethod && html`<a class="button" href="${action}?method=password">${texts.useEmail}</a>`}`,
  }
}

export function ssoPage(texts: Texts, action: string, person: Person): Page {
  return {
    texts,
    title: texts.ssoTitle,
    body: html`<form method="post" action="${action}/login?method=sso">
<button class="main">${fill(texts.continueAs, { person: person.name })}</button>
</form>
<a class="button" href="${action}?method=password">${texts.useAnother}</a>`,
  }
}

function personButtons(action: string, persons: Person[]): Html {
  return html`<form method="post" action="${action}">
<ul>
${persons.map(
  (person) => html`<li><button class="person" name="person" value="${person.id}">
<span class="face" aria-hidden="true">${person.name.slice(-1)}</span>
<span>${person.name}<span class="soft">${person.email}</span></span>
</button></li>
`,
)}</ul>
</form>`
}

export function twoFactorPage(texts: Texts, action: string, pin: string): Page {
  return {
    texts,
    title: texts.twoFactorTitle,
    body: html`<p>${fill(texts.twoFactorNote, { pin })}</p>
<form method="post" action="${action}/two-factor"><button class="main">${texts.confirm}</button></form>`,
  }
}

export type ConsentPage = {
  texts: Texts
  action: string
  channelName: string
  providerName: string
  scopes: string[]
  /** The address asked for, or undefined where no e-mail is. */
  email: string | undefined
  friend: FriendOption | undefined
}

export type FriendOption = { botName: string; blocked: boolean }

export function consentPage({ texts, action, channelName, providerName, ...page }: ConsentPage): Page {
  const labels: Record<string, string> = {
    openid: texts.scopeOpenid,
    profile: texts.scopeProfile,
    'chat_message.write': texts.scopeChat,
  }
  return {
    texts,
    title: fill(texts.consentTitle, { channel: channelName }),
    body: html`<p class="soft">${fill(texts.provider, { provider: providerName })}</p>
<p>${texts.consentNote}</p>
<form method="post" action="${action}/consent">
<ul>
${page.scopes
  .filter((scope) => scope in labels)
  .map(
    (scope) => html`<li class="granted">${labels[scope]} <span class="mark">${texts.required}</span></li>
`,
  )}</ul>
${
  page.email !== undefined &&
  html`<label class="choice granted"><input type="checkbox" name="email" checked>
<span>${fill(texts.scopeEmail, { email: page.email })} <span class="mark">${texts.optional}</span></span></label>`
}
${page.friend && friendChoice(texts, page.friend, false)}
<button class="main" name="decision" value="allow">${texts.allow}</button>
<button name="decision" value="cancel">${texts.cancel}</button>
</form>`,
  }
}

export function friendPage(texts: Texts, action: string, friend: FriendOption): Page {
  return {
    texts,
    title: texts.friendTitle,
    body: html`<p>${texts.friendNote}</p>
<form method="post" action="${action}/friend">
${friendChoice(texts, friend, true)}
<button class="main">${texts.confirm}</button>
</form>`,
  }
}

function friendChoice(texts: Texts, { botName, blocked }: FriendOption, checked: boolean): Html {
  return html`<label class="choice granted"><input type="checkbox" name="add_friend"${checked && { html: ' checked' }}>
<span>${fill(blocked ? texts.unblock : texts.addFriend, { bot: botName })}</span></label>`
}
