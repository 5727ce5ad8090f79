import { createPrivateKey } from 'node:crypto'
import type { UpstreamKind } from './connector.ts'
import { kindOf } from './kinds.ts'
import { type ConnectionSettings, type GivenSettings, type KindName, said } from './settings.ts'

/** What is wrong with what is set of a connection, where in it, and where a missing value is found. */
export interface SettingFault {
  path: string
  message: string
}

export interface Described {
  kind: KindName
  issuer?: string | undefined
  clientSecret?: string | undefined
  settings: GivenSettings
}

/** The rules of a kind, all at once, over settings of which each by itself is well formed. */
export function settingFaults({
  kind: name,
  issuer,
  clientSecret,
  settings: given,
}: Described): SettingFault[] {
  const kind = kindOf(name)
  const settings: ConnectionSettings = { ...kind.settings, ...said(given) }
  return [
    ...(issuer === undefined ? [missing(kind, 'issuer', 'issuer')] : []),
    ...(kind.protocol === 'oidc' ? oidcFaults(settings) : []),
    ...(kind.protocol === 'oauth2' ? oauth2Faults(kind, settings) : []),
    ...addressFaults(kind, settings),
    ...keyFaults(kind, settings, clientSecret),
    ...(settings.trustEmail && !vouches(kind, settings)
      ? [
          {
            path: 'settings.trustEmail',
            message: `${kind.title} does not say whether an address is verified`,
          },
        ]
      : []),
  ]
}

function oidcFaults({ scope, claims }: ConnectionSettings): SettingFault[] {
  return [
    ...(/(^| )openid( |$)/.test(scope) ? [] : [{ path: 'settings.scope', message: 'must contain openid' }]),
    ...(claims
      ? [{ path: 'settings.claims', message: 'is for OAuth 2.0: OpenID Connect names its claims' }]
      : []),
  ]
}

function oauth2Faults(kind: UpstreamKind, { claims, endpoints }: ConnectionSettings): SettingFault[] {
  return [
    ...(claims ? [] : [missing(kind, 'settings.claims.subject', 'claims')]),
    ...(endpoints?.userinfo ? [] : [missing(kind, 'settings.endpoints.userinfo', 'userinfo')]),
  ]
}

/** Either a document says where everything is, or all of what is needed is given. */
function addressFaults(kind: UpstreamKind, settings: ConnectionSettings): SettingFault[] {
  const { endpoints = {}, discovery, idTokenSigningAlg } = settings
  if (kind.asks.discovery && !discovery && readsMetadata(settings))
    return [missing(kind, 'settings.discovery', 'discovery')]
  const pair = (['authorization', 'token'] as const).filter((name) => !endpoints[name])
  if (pair.length === 1)
    return [{ path: `settings.endpoints.${pair[0]}`, message: 'goes with the other one' }]
  const needsKeys = kind.protocol === 'oidc' && idTokenSigningAlg !== 'HS256' && !readsMetadata(settings)
  return needsKeys && !endpoints.jwks
    ? [{ path: 'settings.endpoints.jwks', message: 'is needed where the endpoints are given' }]
    : []
}

function keyFaults(
  kind: UpstreamKind,
  { signer }: ConnectionSettings,
  clientSecret: string | undefined,
): SettingFault[] {
  if (!kind.secretIsKey)
    return signer ? [{ path: 'settings.signer', message: `${kind.title} takes a secret, not a key` }] : []
  return [
    ...(signer ? [] : [missing(kind, 'settings.signer', 'signer')]),
    ...(clientSecret === undefined || isSigningKey(clientSecret)
      ? []
      : [
          { path: 'clientSecret', message: 'is not a .p8 file (a private key, PKCS #8, of the curve P-256)' },
        ]),
  ]
}

/** Whether a document of the upstream is asked where it is; else all of its addresses are given. */
export function readsMetadata({ endpoints, discovery }: ConnectionSettings): boolean {
  return discovery !== undefined || !endpoints?.authorization || !endpoints.token
}

/** OAuth 2.0 vouches for nothing that it is not told where to read. */
function vouches(kind: UpstreamKind, { claims }: ConnectionSettings): boolean {
  return kind.vouchesForEmail && (kind.protocol === 'oidc' || claims?.emailVerified !== undefined)
}

function isSigningKey(pem: string): boolean {
  try {
    return createPrivateKey(pem).asymmetricKeyDetails?.namedCurve === 'prime256v1'
  } catch {
    return false
  }
}

function missing(
  { asks, title }: UpstreamKind,
  path: string,
  asked: keyof UpstreamKind['asks'],
): SettingFault {
  const where = asks[asked]
  return { path, message: where ? `is required for ${title}: ${where}` : 'is required' }
}
