import { z } from 'zod'
import type { LocalizedName } from '../http/i18n.ts'
import type { Connection as ConnectionRow } from '../store/generated/client.ts'

export const kinds = ['oidc', 'line'] as const
export type KindName = (typeof kinds)[number]

/** What is particular to one upstream. */
export const connectionSettings = z.object({
  scope: z.string().regex(/(^| )openid( |$)/, 'must contain openid'),
  clientAuthentication: z.enum(['client_secret_basic', 'client_secret_post']),
  /** Unset: whatever asymmetric algorithm the provider publishes a key for. */
  idTokenSigningAlg: z.enum(['HS256', 'RS256', 'PS256', 'ES256', 'EdDSA']).optional(),
  /** Further applications at the upstream (native apps) whose ID tokens are as good as our own client's. */
  audiences: z.array(z.string().min(1).max(200)).max(20).optional(),
  /** Whether this upstream's `email_verified: true` is believed. */
  trustEmail: z.boolean(),
  authorizationParams: z.record(z.string(), z.string()),
})
export type ConnectionSettings = z.infer<typeof connectionSettings>

/** A connection as features use it; its secret stays sealed until a request to the upstream needs it. */
export interface Connection extends Omit<ConnectionRow, 'name' | 'settings' | 'kind'> {
  kind: KindName
  name: LocalizedName
  settings: ConnectionSettings
}
