import type { Client, Provider } from 'oidc-provider'
import type { Sink } from '../events/dispatcher.ts'
import type { StoredEvent } from '../events/event.ts'
import type { Outbound } from '../http/outbound.ts'
import { type Db, inTransaction } from '../store/db.ts'
import type { Logger } from '../telemetry/logger.ts'
import { endClientSession, endSessionsAt, endSessionsBefore, sweepClientSessions } from './client-session.ts'
import type { CurrentProvider } from './session.ts'
import { tellUnavailable } from './unavailable.ts'

export interface LogoutDeps {
  db: Db
  now: () => Date
  log: Logger
  fetch: Outbound
}

/**
 * While a member signs out the engine would call each relying party, make the member wait for all of them, and forget
 * those that do not answer. Here it only writes down whom to tell; the outbox tells them.
 */
export function recordLogouts(provider: Provider, { db, now }: Pick<LogoutDeps, 'db' | 'now'>): void {
  async function backchannelLogout(this: Client, _memberId: string, sid: string): Promise<void> {
    // A device is elsewhere than the browser that connected it: it does not end with that browser's session.
    if (!this.grantTypeAllowed('authorization_code')) return
    await inTransaction(db, (tx) => endClientSession(tx, sid, now()))
  }
  Object.assign(provider.Client.prototype, { backchannelLogout })
  // The engine would sign the member out all the same, and nobody would ever tell the relying party.
  provider.on('backchannel.error', (_ctx, cause) => tellUnavailable(cause))
}

/**
 * OpenID Connect Back-Channel Logout 1.0: tells relying parties of sessions that are over. Where many end at once, each
 * first gets an event of its own, so that a relying party that is down keeps nobody else waiting.
 */
export function backchannelLogoutSink(deps: LogoutDeps & { provider: CurrentProvider }): Sink {
  const { db, now } = deps
  return async (event) => {
    const { type, memberId, data, occurredAt } = event
    if (!memberId) return
    if (type === 'session.logged_out') return tellRelyingParty(deps, event.id, memberId, data)
    await inTransaction(db, async (tx) => {
      if (type === 'sessions.ended') await endSessionsBefore(tx, memberId, now())
      if (type === 'grant.revoked')
        await endSessionsAt(tx, { memberId, clientId: data.clientId, revokedAt: occurredAt }, now())
      await sweepClientSessions(tx, now())
    })
  }
}

type LoggedOut = Extract<StoredEvent, { type: 'session.logged_out' }>['data']

/** @throws when the relying party is to be told again later */
async function tellRelyingParty(
  { provider: current, fetch, log }: LogoutDeps & { provider: CurrentProvider },
  eventId: string,
  memberId: string,
  { clientId, sid }: LoggedOut,
): Promise<void> {
  const provider = current()
  const client = await provider.Client.find(clientId)
  // Disabled, deleted, or no longer interested.
  if (!client?.backchannelLogoutUri) return
  const token = await logoutToken(provider, client, { memberId, sid, jti: eventId })
  const response = await fetch(client.backchannelLogoutUri, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ logout_token: token }).toString(),
  })
  // Section 2.8: 200; some frameworks turn an empty answer into 204.
  if (response.status === 200 || response.status === 204) return void (await response.body?.cancel())
  if (response.status === 400 && (await isInvalidRequest(response))) {
    // It has read the token and will not have it, as when it had seen it before and its answer was lost.
    log.warn({ clientId, eventId }, 'a relying party refused a logout token')
    return
  }
  await response.body?.cancel()
  throw new Error(`${clientId} answered ${response.status} to a logout token`)
}

/** Section 2.4. It is made at each try, for it is good for two minutes; by `jti` the relying party knows it again. */
async function logoutToken(
  provider: Provider,
  client: Client,
  { memberId, sid, jti }: { memberId: string; sid: string; jti: string },
): Promise<string> {
  const token = new provider.IdToken({ sub: memberId }, { client })
  Object.assign(token, { mask: { sub: null } })
  token.set('events', { 'http://schemas.openid.net/event/backchannel-logout': {} })
  token.set('jti', jti)
  // Its ID tokens have a sid then, and only then.
  if (client.includeSid()) token.set('sid', sid)
  return token.issue({ use: 'logout' })
}

/** Section 2.8: a refusal says in the words of RFC 6749 section 5.2 why. */
async function isInvalidRequest(response: Response): Promise<boolean> {
  const body: unknown = await response.json().catch(() => undefined)
  return typeof body === 'object' && body !== null && 'error' in body && body.error === 'invalid_request'
}
