import { createHash } from 'node:crypto'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from 'jose'
import type { z } from 'zod'
import { createMessagingState, type MessagingState } from './messaging-state.ts'
import {
  type channelSchema,
  defaultSeed,
  type loginChannelSchema,
  type messagingChannelSchema,
  type personSchema,
  type providerSchema,
  type relationSchema,
  type SimulatorSeed,
  seedSchema,
  settingsSchema,
} from './seed.ts'

export type Provider = z.output<typeof providerSchema>
export type LoginChannel = z.output<typeof loginChannelSchema>
export type MessagingChannel = z.output<typeof messagingChannelSchema>
export type Channel = z.output<typeof channelSchema>
export type Person = z.output<typeof personSchema>
export type LiffApp = LoginChannel['liffApps'][number]
export type Relation = z.output<typeof relationSchema>['relation']
export type Settings = z.output<typeof settingsSchema>

export type Browser = {
  personId?: string
  authenticatedAtMs?: number
  /** Until when two-factor authentication is skipped here, by person. */
  trustedUntilMs: Record<string, number>
}

export type Consent = {
  scopes: string[]
  email?: { address: string; granted: boolean; decidedAtMs: number }
}

/** A consent screen answered in advance through the control API. */
export type PlannedConsent = { allow: boolean; email: boolean; addFriend: boolean }

export type ResponseMode = 'query' | 'form_post' | 'query.jwt' | 'form_post.jwt'

export type AuthorizationRequest = {
  clientId: string
  redirectUri: string
  responseMode: ResponseMode
  state: string
  scopes: string[]
  prompts: string[]
  showQrFirst: boolean
  maySwitchMethod: boolean
  disableAutoLogin: boolean
  uiLocales?: string
  nonce?: string
  maxAgeSeconds?: number
  botPrompt?: 'normal' | 'aggressive'
  codeChallenge?: string
  /** The LIFF app whose `liff.login()` sent the request. */
  liffId?: string
}

export type PendingLogin = {
  id: string
  browserId: string
  request: AuthorizationRequest
  expiresAtMs: number
  person?: { id: string; amr: string[]; authenticatedAtMs: number }
  twoFactorDone: boolean
  consented: boolean
  /** Set once the add-friend option was shown: whether it changed the friendship. */
  friendshipChanged?: boolean
}

export type AuthorizationCode = {
  code: string
  channelId: string
  personId: string
  redirectUri: string
  scopes: string[]
  emailGranted: boolean
  amr: string[]
  issuedAtMs: number
  expiresAtMs: number
  spentAtMs?: number
  nonce?: string
  authTimeMs?: number
  codeChallenge?: string
  liffId?: string
}

export type UserAccessToken = {
  token: string
  kind: 'web' | 'liff'
  channelId: string
  personId: string
  scopes: string[]
  issuedAtMs: number
  expiresAtMs: number
  revoked: boolean
}

export type RefreshToken = Omit<UserAccessToken, 'kind'>

export type ChannelToken = {
  token: string
  kind: 'v2.1' | 'stateless' | 'short-lived' | 'long-lived'
  channelId: string
  issuedAtMs: number
  expiresAtMs: number
  revoked: boolean
  keyId?: string
}

export type SigningKey = { kid: string; privateJwk: JWK; publicJwk: JWK }

export type InjectedFailure = {
  method?: string | undefined
  pathPrefix: string
  remaining: number
  status: number
  /** `after` answers with the failure although the request was carried out. */
  moment: 'before' | 'after'
  delayMs: number
  resetConnection: boolean
}

/** Everything the simulator knows, as plain JSON data, so that one file can hold it. */
export type SimulatorState = MessagingState & {
  random?: { seed: string; counter: number }
  clockOffsetMs: number
  settings: Settings
  providers: Record<string, Provider>
  channels: Record<string, Channel>
  persons: Record<string, Person>
  /** By `channelId:personId`. */
  relations: Record<string, Relation>
  /** By `channelId:personId`. */
  consents: Record<string, Consent>
  /** By person. */
  plannedConsents: Record<string, PlannedConsent>
  browsers: Record<string, Browser>
  logins: Record<string, PendingLogin>
  codes: Record<string, AuthorizationCode>
  accessTokens: Record<string, UserAccessToken>
  refreshTokens: Record<string, RefreshToken>
  channelTokens: Record<string, ChannelToken>
  signingKeys: SigningKey[]
  failures: InjectedFailure[]
}

export async function createState(seed: SimulatorSeed = {}): Promise<SimulatorState> {
  const { random, ...lists } = seedSchema.parse({ ...defaultSeed(), ...seed })
  return {
    ...(random === undefined ? {} : { random: { seed: random, counter: 0 } }),
    clockOffsetMs: 0,
    settings: settingsSchema.parse(lists.settings ?? {}),
    providers: byId(lists.providers),
    channels: byId(lists.channels),
    persons: byId(lists.persons),
    relations: Object.fromEntries(
      (lists.relations ?? []).map(({ channelId, personId, relation }) => [
        `${channelId}:${personId}`,
        relation,
      ]),
    ),
    consents: {},
    plannedConsents: {},
    browsers: {},
    logins: {},
    codes: {},
    accessTokens: {},
    refreshTokens: {},
    channelTokens: {},
    // LINE publishes many keys at once, so that a client must select by `kid`.
    signingKeys: await Promise.all([createSigningKey(), createSigningKey(), createSigningKey()]),
    failures: [],
    ...createMessagingState(),
  }
}

/** The private half stays in the state; `kid` is 64 hex digits, as LINE's are. */
export async function createSigningKey(): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true })
  const publicJwk = await exportJWK(publicKey)
  const kid = createHash('sha256')
    .update(await calculateJwkThumbprint(publicJwk))
    .digest('hex')
  return {
    kid,
    privateJwk: await exportJWK(privateKey),
    publicJwk: { ...publicJwk, kid, alg: 'ES256', use: 'sig' },
  }
}

function byId<T extends { id: string }>(items: T[] = []): Record<string, T> {
  return Object.fromEntries(items.map((item) => [item.id, item]))
}
