import { z } from 'zod'
import { recordEvent } from '../events/outbox.ts'
import { localizedName } from '../http/i18n.ts'
import type { Tx } from '../store/db.ts'
import type { Resource } from '../store/generated/client.ts'
import { scopeClaims } from './scope-claims.ts'

/** A JWT cannot be taken back, so none lives longer. Seconds. */
export const longestJwtTtl = 600
const longestOpaqueTtl = 86_400

/** What a member is asked for about themselves is never a resource's to define. */
const ownScopes = ['openid', 'offline_access', ...Object.keys(scopeClaims)]

/** RFC 8707 section 2: an absolute URI without a fragment, and better without a query. It is compared as it is written. */
const indicator = z
  .url()
  .max(500)
  .refine((id) => !/[?#]/.test(id), 'must not have a fragment or a query (RFC 8707 section 2)')
  .refine(
    (id) => /^(https:|urn:|http:\/\/(localhost|127\.0\.0\.1|\[::1\])[:/])/.test(`${id}/`),
    'must be https or a urn',
  )
  .refine((id) => !id.startsWith('urn:hitotsu:'), 'these names are reserved')

const resourceScope = z
  .string()
  // RFC 6749 section 3.3
  .regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, 'is not a scope (RFC 6749 section 3.3)')
  .refine((scope) => !ownScopes.includes(scope), 'is a scope of OpenID Connect')

/** What an administrator says of a new resource. */
export const newResource = z
  .object({
    id: indicator,
    name: localizedName,
    scopes: z.array(resourceScope).min(1, 'at least one scope'),
    tokenFormat: z.enum(['jwt', 'opaque']).default('jwt'),
    /** Seconds. */
    tokenTtl: z
      .int()
      .min(30, 'at least 30 seconds')
      .max(longestOpaqueTtl, 'at most a day')
      .default(longestJwtTtl),
    /** The client that its server introspects tokens as. */
    introspectorId: z.string().optional(),
  })
  .refine(({ tokenFormat, tokenTtl }) => tokenFormat === 'opaque' || tokenTtl <= longestJwtTtl, {
    path: ['tokenTtl'],
    message: `a JWT cannot be taken back: at most ${longestJwtTtl} seconds`,
  })
export type NewResource = z.input<typeof newResource>
export type ParsedResource = z.output<typeof newResource>

/** Registers an API. Unique and foreign keys reject an id that is taken and an introspector that does not exist. */
export async function createResource(tx: Tx, input: ParsedResource, now: Date): Promise<Resource> {
  const { introspectorId = null, scopes, ...rest } = input
  const data = { ...rest, scopes: [...new Set(scopes)], introspectorId, createdAt: now, updatedAt: now }
  const row = await tx.resource.create({ data })
  await recordEvent(tx, { type: 'resource.created', data: { resourceId: row.id } }, now)
  return row
}

/** From now on there are no tokens for it, and no client learns anything of those there are. False when it was so before. */
export async function disableResource(tx: Tx, id: string, now: Date): Promise<boolean> {
  const { count } = await tx.resource.updateMany({
    where: { id, disabledAt: null },
    data: { disabledAt: now, updatedAt: now },
  })
  if (count > 0) await recordEvent(tx, { type: 'resource.disabled', data: { resourceId: id } }, now)
  return count > 0
}

/** Undoes `disableResource`. False when it was not disabled. */
export async function enableResource(tx: Tx, id: string, now: Date): Promise<boolean> {
  const { count } = await tx.resource.updateMany({
    where: { id, disabledAt: { not: null } },
    data: { disabledAt: null, updatedAt: now },
  })
  if (count > 0) await recordEvent(tx, { type: 'resource.enabled', data: { resourceId: id } }, now)
  return count > 0
}
