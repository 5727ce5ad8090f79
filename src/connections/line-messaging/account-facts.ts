import { z } from 'zod'
import type { Caller, MessagingApi } from './api.ts'

export interface Bot {
  userId: string
  basicId: string
  displayName: string
}

const bot = z.object({ userId: z.string(), basicId: z.string(), displayName: z.string() })
const endpoint = z.object({ endpoint: z.string(), active: z.boolean() })
const trial = z.object({ success: z.boolean(), statusCode: z.number().optional(), reason: z.string() })

/** Who the official account is that this channel speaks as. Rejects with `ChannelRefused` for a wrong channel or secret. */
export async function readBot(call: MessagingApi, caller: Caller): Promise<Bot> {
  const { status, body } = await call(caller, { method: 'GET', path: '/v2/bot/info' })
  if (status !== 200) throw new Error(`LINE answered ${status} to who the bot is`)
  return bot.parse(body)
}

/** Where LINE delivers webhooks to, and whether it does; undefined when it was told no address. */
export async function readEndpoint(
  call: MessagingApi,
  caller: Caller,
): Promise<z.infer<typeof endpoint> | undefined> {
  const path = '/v2/bot/channel/webhook/endpoint'
  const { status, body } = await call(caller, { method: 'GET', path })
  return status === 200 ? endpoint.parse(body) : undefined
}

/** Tells LINE where to deliver webhooks to; that it does is switched on in its console. False when LINE refuses the address. */
export async function setEndpoint(call: MessagingApi, caller: Caller, address: string): Promise<boolean> {
  const path = '/v2/bot/channel/webhook/endpoint'
  const { status } = await call(caller, { method: 'PUT', path, body: { endpoint: address } })
  return status === 200
}

/** Has LINE deliver a webhook without events, and say what came of it. */
export async function tryWebhook(
  call: MessagingApi,
  caller: Caller,
  address: string,
): Promise<z.infer<typeof trial> | undefined> {
  const path = '/v2/bot/channel/webhook/test'
  const { status, body } = await call(caller, { method: 'POST', path, body: { endpoint: address } })
  return status === 200 ? trial.parse(body) : undefined
}

export async function hasMenu(call: MessagingApi, caller: Caller, richMenuId: string): Promise<boolean> {
  const { status } = await call(caller, { method: 'GET', path: `/v2/bot/richmenu/${richMenuId}` })
  return status === 200
}

/** Whether LINE shows this account a person's profile: proof that both are of one provider. */
export async function seesPerson(call: MessagingApi, caller: Caller, userId: string): Promise<boolean> {
  const { status } = await call(caller, { method: 'GET', path: `/v2/bot/profile/${userId}` })
  return status === 200
}
