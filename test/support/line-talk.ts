import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { setOfficialAccount } from '../../src/connections/line-messaging/official-account.ts'
import type { LineSimulator } from '../../src/demo/line/server.ts'
import { botUserIdOf, userIdOf } from '../../src/demo/line/simulator.ts'
import { sign } from '../../src/demo/line/webhooks.ts'
import { inTransaction } from '../../src/store/db.ts'
import type { TestApp } from './app.ts'
import type { Browser } from './browser.ts'
import { botChannelId, botChannelOf, call, statelessToken } from './line-simulator.ts'
import { type Answer, send } from './post.ts'

/** The official account of the LINE connection `line`, set up at both sides, with a menu for each state. */
export async function givenOfficialAccount(
  server: TestApp,
  line: LineSimulator,
): Promise<{ linkedMenu: string; unlinkedMenu: string }> {
  const channel = botChannelOf(line)
  channel.webhookUrl = `${server.issuer}/connections/line/line/webhook`
  const [linkedMenu, unlinkedMenu] = [await givenMenu(line, 'linked'), await givenMenu(line, 'unlinked')]
  await inTransaction(server.db, (tx) =>
    setOfficialAccount(
      tx,
      server.sealer,
      {
        connectionId: 'line',
        channelId: channel.id,
        channelSecret: channel.secret,
        botUserId: botUserIdOf(channel.id),
        linkedRichMenuId: linkedMenu,
        unlinkedRichMenuId: unlinkedMenu,
        linkWords: ['連携', 'link'],
      },
      server.now(),
    ),
  )
  return { linkedMenu, unlinkedMenu }
}

async function givenMenu(line: LineSimulator, name: string): Promise<string> {
  const bearer = await statelessToken(line, botChannelId)
  const json = {
    ...{ size: { width: 2500, height: 843 }, selected: false, name, chatBarText: name },
    areas: [],
  }
  const { body } = await call(line, '/v2/bot/richmenu', { json, bearer })
  await fetch(`${line.url}/v2/bot/richmenu/${body.richMenuId}/content`, {
    method: 'POST',
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'image/png' },
    body: 'an image',
  })
  return String(body.richMenuId)
}

/** Somebody with LINE in their hand, who is a friend of the official account. */
export interface LineUser {
  personId: string
  userId: string
  name: string
}

export function givenLineUser(
  line: LineSimulator,
  { language = 'ja', relation = 'friend' as 'friend' | 'none' } = {},
): LineUser {
  const personId = `person-${randomBytes(4).toString('hex')}`
  const name = `LINE ${personId}`
  line.control.putPerson({
    ...{ id: personId, name, language, password: 'password' },
    ...{ picture: true, profileConsent: true },
  })
  line.simulator.state.relations[`${botChannelId}:${personId}`] = relation
  return { personId, userId: userIdOf('provider-a', personId), name }
}

/** Everything LINE has said is kept, and everything that comes of it is done. */
export async function settle(server: TestApp, line: LineSimulator): Promise<void> {
  await line.settled()
  await server.app.dispatcher.drain()
}

export interface Heard {
  kind: string
  text: string
  links: { label: string; uri: string }[]
}

/** What this person has got in the talk, oldest first. */
export function heard(line: LineSimulator, { personId }: LineUser): Heard[] {
  return line.simulator.state.sentMessages
    .filter((sent) => sent.personId === personId && sent.delivered)
    .map(({ kind, message }) => ({
      kind,
      text: String(message.text ?? message.altText),
      links: linksOf(message),
    }))
}

function linksOf(message: Record<string, unknown>): Heard['links'] {
  const template = message.template as { actions?: Heard['links'] } | undefined
  return (template?.actions ?? []).map(({ label, uri }) => ({ label, uri }))
}

/** The menu this person sees. */
export const menuOf = (line: LineSimulator, { personId }: LineUser) =>
  line.simulator.state.personRichMenus[`${botChannelId}:${personId}`]

/** Asks in the talk; the address of the button that comes. */
export async function askForLink(
  server: TestApp,
  line: LineSimulator,
  user: LineUser,
  words = '連携',
): Promise<URL> {
  line.control.say(user.personId, botChannelId, words)
  await settle(server, line)
  const uri = heard(line, user).at(-1)?.links[0]?.uri
  if (!uri) throw new Error('no button came')
  return new URL(uri)
}

/** From the button to LINE's page, which is not opened yet: agreed as whoever is signed in. `page` is where it is waited. */
export async function agreeToLink(
  line: LineSimulator,
  browser: Browser,
  button: URL,
): Promise<{ page: URL; dialog: URL }> {
  browser.stopAt(`${line.url}/dialog/`)
  const consent = await browser.open(button)
  const { url: dialog } = await browser.submit(consent, '/agree')
  browser.stopAt(undefined)
  expect(dialog.pathname).toBe('/dialog/bot/accountLink')
  return { page: consent.url, dialog }
}

/** LINE's page, opened by this person. */
export function confirmAtLine(line: LineSimulator, user: LineUser, dialog: URL): 'ok' | 'failed' {
  const { linkToken = '', nonce = '' } = Object.fromEntries(dialog.searchParams)
  return line.control.openAccountLink(user.personId, linkToken, nonce)
}

let events = 0

/** LINE's word on a nonce, as an event of its own. */
export function accountLinkEvent(
  user: LineUser | undefined,
  dialog: URL,
  result: 'ok' | 'failed' = 'ok',
): Record<string, unknown> {
  return {
    ...{ type: 'accountLink', mode: 'active', timestamp: Date.now() },
    webhookEventId: `01TEST${++events}${randomBytes(6).toString('hex')}`,
    deliveryContext: { isRedelivery: false },
    ...(user && { source: { type: 'user', userId: user.userId } }),
    link: { result, nonce: dialog.searchParams.get('nonce') },
  }
}

export interface Webhook {
  body: string
  signature: string
}

/** A webhook of the official account with these events, signed with the secret that LINE has. */
export function webhookOf(
  line: LineSimulator,
  events: readonly Record<string, unknown>[],
  { destination = botUserIdOf(botChannelId), secret = botChannelOf(line).secret } = {},
): Webhook {
  const body = JSON.stringify({ destination, events })
  return { body, signature: sign(secret, body) }
}

/** Delivers it as LINE does; `origin` is a peer's, if not the server's own. */
export function deliver(
  server: Pick<TestApp, 'issuer'>,
  { body, signature }: Webhook,
  origin = server.issuer,
): Promise<Answer> {
  return send(new URL('/connections/line/line/webhook', origin), {
    method: 'POST',
    headers: {
      host: new URL(server.issuer).host,
      'content-type': 'application/json; charset=utf-8',
      'x-line-signature': signature,
    },
    body,
  })
}
