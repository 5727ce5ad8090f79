import { z } from 'zod'
import type { Outbound } from '../../http/outbound.ts'
import type { Sealer } from '../../security/seal.ts'
import { type OfficialAccount, openChannelSecret } from './official-account.ts'

/** Whom calls are made as. */
export type Caller = Pick<
  OfficialAccount,
  'connectionId' | 'issuer' | 'channelId' | 'sealedSecret' | 'updatedAt'
>

export interface Call {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  path: string
  body?: unknown
  /** For pushes alone: LINE refuses it elsewhere. */
  retryKey?: string
}

export interface Answer {
  status: number
  body: unknown
}

/** Calls the Messaging API as an official account. Rejects when LINE cannot answer now, so that the caller tries again later. */
export type MessagingApi = (caller: Caller, call: Call) => Promise<Answer>

/** LINE gives stateless channel tokens fifteen minutes. */
const tokenLifeMs = 600_000
const maxCachedTokens = 200

const tokenAnswer = z.object({ access_token: z.string().min(1) })

export function messagingApi({
  sealer,
  fetch,
  now,
}: {
  sealer: Sealer
  fetch: Outbound
  now: () => Date
}): MessagingApi {
  const cache = new Map<string, { token: Promise<string>; takenAt: number }>()

  const tokenOf = (caller: Caller): Promise<string> => {
    const known = cache.get(keyOf(caller))
    if (known && now().getTime() - known.takenAt < tokenLifeMs) return known.token
    const token = takeToken(fetch, caller, openChannelSecret(sealer, caller))
    if (cache.size >= maxCachedTokens) cache.clear()
    cache.set(keyOf(caller), { token, takenAt: now().getTime() })
    token.catch(() => cache.delete(keyOf(caller)))
    return token
  }

  return async (caller, call) => {
    const answer = await send(fetch, caller, call, await tokenOf(caller))
    if (answer.status !== 401) return answer
    // The channel's secret was changed at LINE, or the token was ended: once more with a new one.
    cache.delete(keyOf(caller))
    return send(fetch, caller, call, await tokenOf(caller))
  }
}

const keyOf = ({ connectionId, updatedAt }: Caller) => `${connectionId} ${updatedAt.getTime()}`

/** LINE answers people and programs at different hosts; whoever stands in for it has one. */
function apiUrl(issuer: string, path: string): URL {
  return new URL(path, issuer === 'https://access.line.me' ? 'https://api.line.me' : issuer)
}

/** @see https://developers.line.biz/en/docs/basics/channel-access-token/ (stateless) */
async function takeToken(fetch: Outbound, { issuer, channelId }: Caller, secret: string): Promise<string> {
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: channelId,
    client_secret: secret,
  })
  const response = await fetch(apiUrl(issuer, '/oauth2/v3/token'), { method: 'POST', body })
  const parsed = tokenAnswer.safeParse(await readJson(response))
  if (!parsed.success) throw new ChannelRefused(response.status)
  return parsed.data.access_token
}

/** LINE gives no token for this channel ID and secret, or not now. */
export class ChannelRefused extends Error {
  readonly status: number

  constructor(status: number) {
    super(`LINE gave no channel token: ${status}`)
    this.name = 'ChannelRefused'
    this.status = status
  }
}

async function send(
  fetch: Outbound,
  { issuer }: Caller,
  { method, path, body, retryKey }: Call,
  token: string,
): Promise<Answer> {
  const response = await fetch(apiUrl(issuer, path), {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(retryKey !== undefined && { 'x-line-retry-key': retryKey }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const { status } = response
  const answer = await readJson(response)
  // The path may name a person; only what kind of call it was is told.
  if (status === 429 || status >= 500)
    throw new Error(`LINE answered ${status} to ${method} ${path.replace(/U[0-9a-f]{32}/, '…')}`)
  return { status, body: answer }
}

async function readJson(response: Response): Promise<unknown> {
  const text = await response.text()
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
