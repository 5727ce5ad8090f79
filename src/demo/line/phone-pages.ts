import { type Html, html, type Page } from './html.ts'
import type { SentMessage } from './messaging-state.ts'
import { type PhoneTexts, phoneTextsFor } from './phone-texts.ts'
import { richMenuOf } from './rich-menus.routes.ts'
import { relationOf, type Simulator } from './simulator.ts'
import type { LoginChannel, MessagingChannel, Person } from './state.ts'
import { fill, type Texts } from './texts.ts'

export function phonesPage(texts: Texts, persons: Person[]): Page {
  const own = phoneTextsFor(texts)
  return {
    texts,
    title: own.phonesTitle,
    body: html`<p>${own.phonesNote}</p>
<ul>
${persons.map(({ id, name }) => html`<li><a class="button" href="/phone/${id}">${name}</a></li>\n`)}</ul>`,
  }
}

/** What one person sees in LINE: each official account with its talk and menu, and the authorized apps. */
export function phonePage(sim: Simulator, texts: Texts, person: Person): Page {
  const own = phoneTextsFor(texts)
  const channels = Object.values(sim.state.channels)
  const accounts = channels.filter((channel) => channel.kind === 'messaging')
  const apps = channels.filter(
    (channel) => channel.kind === 'login' && sim.state.consents[`${channel.id}:${person.id}`] !== undefined,
  )
  return {
    texts,
    title: fill(own.phoneTitle, { person: person.name }),
    body: html`${inHandForm(sim, own, person)}
${accounts.map((channel) => accountSection(sim, own, person, channel))}
<h2>${own.apps}</h2>
${apps.length === 0 ? html`<p class="soft">${own.noApps}</p>` : apps.map((app) => appForm(own, person, app as LoginChannel))}
<p><a href="/phone">${own.back}</a></p>`,
  }
}

function inHandForm(sim: Simulator, own: PhoneTexts, person: Person): Html {
  const inHand = sim.state.settings.appPersonId === person.id && sim.state.settings.autoLogin === 'any'
  return html`<form method="post" action="/phone/${person.id}/in-hand">
${inHand && html`<p class="soft">${own.inHand}</p>`}
<button name="inHand" value="${inHand ? 'false' : 'true'}">${inHand ? own.putAway : own.takeInHand}</button>
</form>`
}

function accountSection(sim: Simulator, own: PhoneTexts, person: Person, channel: MessagingChannel): Html {
  const relation = relationOf(sim, channel.id, person.id)
  const change = (
    to: string,
    label: string,
  ) => html`<form method="post" action="/phone/${person.id}/relation">
<input type="hidden" name="channelId" value="${channel.id}">
<button name="relation" value="${to}">${label}</button>
</form>`
  if (relation !== 'friend') {
    return html`<h2>${channel.name}</h2>
<p class="soft">${relation === 'blocked' ? own.blocked : own.noFriend}</p>
${change('friend', relation === 'blocked' ? own.unblock : own.addFriend)}`
  }
  return html`<h2>${channel.name}</h2>
${talk(sim, own, person, channel)}
<form method="post" action="/phone/${person.id}/say">
<input type="hidden" name="channelId" value="${channel.id}">
<label>${own.say}<input type="text" name="text" maxlength="5000" autocomplete="off" required></label>
<button>${own.send}</button>
</form>
<p><a href="/phone/${person.id}">${own.refresh}</a></p>
${menu(sim, own, person, channel)}
${change('blocked', own.block)}`
}

function talk(sim: Simulator, own: PhoneTexts, person: Person, channel: MessagingChannel): Html {
  const messages = sim.state.sentMessages.filter(
    ({ channelId, personId, delivered }) => channelId === channel.id && personId === person.id && delivered,
  )
  if (messages.length === 0) return html`<p class="soft">${own.noMessages}</p>`
  return html`<ul>${messages.slice(-20).map(bubble)}</ul>`
}

function bubble({ message }: SentMessage): Html {
  const text = [message.text, message.altText].find((value) => typeof value === 'string')
  return html`<li class="bubble">${text === undefined ? String(message.type) : String(text)}
${linksIn(message)}</li>
`
}

function menu(sim: Simulator, own: PhoneTexts, person: Person, channel: MessagingChannel): Html | undefined {
  const richMenu = richMenuOf(sim, channel.id, person.id)
  return (
    richMenu &&
    html`<h3>${own.menu}: ${String(richMenu.definition.chatBarText)}</h3>
${sayingsIn(richMenu.definition).map(
  ({ label, text }) => html`<form method="post" action="/phone/${person.id}/say">
<input type="hidden" name="channelId" value="${channel.id}">
<button name="text" value="${text}">${label}</button>
</form>
`,
)}${linksIn(richMenu.definition)}`
  )
}

function appForm(own: PhoneTexts, person: Person, app: LoginChannel): Html {
  return html`<form method="post" action="/phone/${person.id}/remove-app">
<button name="channelId" value="${app.id}">${fill(own.removeApp, { channel: app.name })}</button>
</form>`
}

/** Every URI action in a message or a menu, however deep; only web addresses become links. */
function linksIn(value: unknown): Html[] {
  if (Array.isArray(value)) return value.flatMap(linksIn)
  if (typeof value !== 'object' || value === null) return []
  const { type, uri, label, ...rest } = value as Record<string, unknown>
  if (type !== 'uri' || typeof uri !== 'string') return Object.values(rest).flatMap(linksIn)
  if (!/^https?:\/\//.test(uri)) return []
  return [html`<a class="button" href="${uri}">${typeof label === 'string' ? label : uri}</a>`]
}

/** What the areas of a menu say for whoever presses them. */
function sayingsIn(value: unknown): { label: string; text: string }[] {
  if (Array.isArray(value)) return value.flatMap(sayingsIn)
  if (typeof value !== 'object' || value === null) return []
  const { type, text, label, ...rest } = value as Record<string, unknown>
  if (type !== 'message' || typeof text !== 'string') return Object.values(rest).flatMap(sayingsIn)
  return [{ text, label: typeof label === 'string' ? label : text }]
}
