import { signIdToken } from './id-token.ts'
import { findLoginChannel, type Simulator } from './simulator.ts'
import type { LiffApp, LoginChannel, Person } from './state.ts'
import { issueAccessToken } from './user-tokens.ts'

/** The channel ID is the part of a LIFF ID before the hyphen. */
export function findLiffApp(
  sim: Simulator,
  liffId: string,
): { channel: LoginChannel; app: LiffApp } | undefined {
  const channel = findLoginChannel(sim, liffId.split('-')[0])
  const app = channel?.liffApps.find(({ id }) => id === liffId)
  return channel && app && { channel, app }
}

/** What `liff.getIDToken()` and `liff.getAccessToken()` give a page that LINE opened for this person. */
export async function mintLiffTokens(
  sim: Simulator,
  channel: LoginChannel,
  app: LiffApp,
  person: Person,
): Promise<{ accessToken: string; idToken?: string }> {
  const scopes = app.scopes.filter((scope) => scope !== 'email')
  const { token } = await issueAccessToken(
    sim,
    { channelId: channel.id, personId: person.id, scopes },
    'liff',
  )
  if (!scopes.includes('openid')) return { accessToken: token }
  const emailGranted = app.scopes.includes('email') && channel.emailPermission
  const claims = { scopes, emailGranted, amr: ['lineautologin'] }
  return { accessToken: token, idToken: await signIdToken(sim, channel, person, claims, 'ES256') }
}
