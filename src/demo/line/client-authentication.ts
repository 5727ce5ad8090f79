import { timingSafeEqual } from 'node:crypto'
import type { Context } from 'koa'
import { oauthRefusal } from './refusal.ts'
import { findLoginChannel, type Simulator } from './simulator.ts'
import type { LoginChannel } from './state.ts'

type Credentials = { clientId: string | undefined; secret: string | undefined }

/**
 * The channel a form request comes from. `secretOptional` is for calls in which a channel with a
 * mobile app type, or a LIFF app, sends no secret; a secret that is then sent is not looked at.
 */
export function authenticateClient(
  ctx: Context,
  sim: Simulator,
  form: URLSearchParams,
  secretOptional: (channel: LoginChannel) => boolean = () => false,
): LoginChannel {
  const { clientId, secret } = readCredentials(ctx, sim, form)
  if (clientId === undefined) throw oauthRefusal('invalid_request', "'client_id' is not specified.")
  const channel = findLoginChannel(sim, clientId)
  if (!channel) throw oauthRefusal('invalid_client', 'invalid client_id')
  if (secretOptional(channel)) return channel
  if (secret === undefined) throw oauthRefusal('invalid_request', "'client_secret' is not specified.")
  if (!isEqual(secret, channel.secret)) throw oauthRefusal('invalid_client', 'invalid client_secret')
  return channel
}

export function hasMobileType(channel: LoginChannel): boolean {
  return channel.appTypes.includes('mobile')
}

export function isEqual(sent: string, expected: string): boolean {
  const [left, right] = [Buffer.from(sent), Buffer.from(expected)]
  return left.length === right.length && timingSafeEqual(left, right)
}

/** LINE documents the body only; Auth.js sends HTTP Basic. The switch says which of them is taken. */
function readCredentials(ctx: Context, sim: Simulator, form: URLSearchParams): Credentials {
  const { clientAuth } = sim.state.settings
  const inBody = {
    clientId: form.get('client_id') ?? undefined,
    secret: form.get('client_secret') ?? undefined,
  }
  const inHeader = clientAuth === 'body' ? undefined : readBasic(ctx.get('authorization'))
  if (!inHeader) return clientAuth === 'basic' ? { ...inBody, secret: undefined } : inBody
  // RFC 6749 section 2.3: one method of authentication per request.
  if (inBody.secret !== undefined || (inBody.clientId ?? inHeader.clientId) !== inHeader.clientId) {
    throw oauthRefusal('invalid_request', 'The client authenticated in more than one way.')
  }
  return inHeader
}

/** RFC 6749 section 2.3.1: both parts are form encoded before they are joined. */
function readBasic(authorization: string): Credentials | undefined {
  const encoded = /^Basic ([A-Za-z0-9+/=]+)$/i.exec(authorization)?.[1]
  if (encoded === undefined) return undefined
  const [clientId = '', secret = ''] = Buffer.from(encoded, 'base64').toString('utf8').split(':', 2)
  return { clientId: formDecode(clientId), secret: formDecode(secret) }
}

function formDecode(text: string): string {
  return new URLSearchParams(`value=${text.replaceAll('&', '%26')}`).get('value') ?? ''
}
