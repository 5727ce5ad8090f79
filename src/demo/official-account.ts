import { readBot, setEndpoint } from '../connections/line-messaging/account-facts.ts'
import { type Caller, type MessagingApi, messagingApi } from '../connections/line-messaging/api.ts'
import {
  channelSecretContext,
  defaultLinkWords,
  findOfficialAccount,
  setOfficialAccount,
  webhookUrlOf,
} from '../connections/line-messaging/official-account.ts'
import { createOutbound } from '../http/outbound.ts'
import type { Sealer } from '../security/seal.ts'
import { type Db, inTransaction } from '../store/db.ts'

export interface DemoAccount {
  /** Of Hitotsu, and of the LINE simulator. */
  issuer: string
  lineUrl: string
  connectionId: string
  channelId: string
  channelSecret: string
}

/** Sets the simulator's official account up at both sides: where it delivers, and two menus. What is there stays. */
export async function seedOfficialAccount(
  { db, sealer, now }: { db: Db; sealer: Sealer; now: Date },
  demo: DemoAccount,
): Promise<void> {
  const { connectionId, channelId, channelSecret } = demo
  const fetch = createOutbound([new URL(demo.lineUrl).host])
  try {
    const call = messagingApi({ sealer, fetch, now: () => now })
    const sealedSecret = sealer.seal(channelSecret, channelSecretContext(connectionId))
    const caller = { connectionId, channelId, sealedSecret, issuer: demo.lineUrl, updatedAt: now }
    await setEndpoint(call, caller, webhookUrlOf(demo.issuer, connectionId))
    if (await findOfficialAccount(db, connectionId)) return
    const account = {
      ...{ connectionId, channelId, channelSecret, linkWords: [...defaultLinkWords] },
      botUserId: (await readBot(call, caller)).userId,
      ...(await makeMenus(call, fetch, caller, demo)),
    }
    await inTransaction(db, (tx) => setOfficialAccount(tx, sealer, account, now))
  } finally {
    await fetch.close()
  }
}

async function makeMenus(
  call: MessagingApi,
  fetch: ReturnType<typeof createOutbound>,
  caller: Caller,
  { issuer, connectionId, lineUrl, channelId, channelSecret }: DemoAccount,
) {
  const form = { grant_type: 'client_credentials', client_id: channelId, client_secret: channelSecret }
  const answer = await fetch(`${lineUrl}/oauth2/v3/token`, {
    method: 'POST',
    body: new URLSearchParams(form),
  })
  const { access_token: token } = (await answer.json()) as { access_token: string }
  const make = async (name: string, actions: readonly Record<string, string>[]) => {
    const { body } = await call(caller, {
      method: 'POST',
      path: '/v2/bot/richmenu',
      body: menuOf(name, actions),
    })
    const { richMenuId } = body as { richMenuId: string }
    // A menu can be given to people only once it has an image.
    await fetch(`${lineUrl}/v2/bot/richmenu/${richMenuId}/content`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'image/png' },
      body: onePixel,
    })
    return richMenuId
  }
  const [word = ''] = defaultLinkWords
  const unlinkUrl = `${issuer}/account/connections/${connectionId}/unlink`
  return {
    unlinkedRichMenuId: await make('unlinked', [{ type: 'message', label: '会員IDと連携する', text: word }]),
    linkedRichMenuId: await make('linked', [
      { type: 'uri', label: 'マイページ', uri: `${issuer}/account` },
      { type: 'uri', label: '連携を解除する', uri: unlinkUrl },
    ]),
  }
}

function menuOf(name: string, actions: readonly Record<string, string>[]) {
  const width = Math.floor(2500 / actions.length)
  return {
    ...{ name, chatBarText: 'メニュー', selected: true, size: { width: 2500, height: 843 } },
    areas: actions.map((action, index) => ({
      bounds: { x: index * width, y: 0, width, height: 843 },
      action,
    })),
  }
}

const onePixel = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)
