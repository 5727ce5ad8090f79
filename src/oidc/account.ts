import type {
  Account,
  AccountClaims,
  Client,
  FindAccount,
  KoaContextWithOIDC,
  UnknownObject,
} from 'oidc-provider'
import { z } from 'zod'
import { primaryEmail } from '../members/contact-point.ts'
import { findActiveMember, isSessionEnded } from '../members/member.ts'
import { systemRandom } from '../security/random.ts'
import type { Db } from '../store/db.ts'
import type { Member } from '../store/generated/client.ts'
import { isRowId } from '../store/row-id.ts'
import { type DisclosedLink, discloseLinks } from './disclosure.ts'
import { contentOf } from './grant-content.ts'
import { linkResultClaim } from './link-request.ts'
import { type EngineDeps, mayBeRecent, type RecentMember } from './recent.ts'
import { scopeClaims } from './scope-claims.ts'
import { sectorOf } from './sector.ts'
import type { SubjectsOf } from './subject.ts'
import { tellUnavailable } from './unavailable.ts'

/** Read whole a moment ago, or just now without the address. */
type KnownMember = Member | RecentMember

export interface MemberAccount extends Account {
  member: KnownMember
}

/**
 * The single authority on who a token or session speaks for: asked at every grant, refresh and userinfo request. A
 * member who was suspended or deleted is not found; nor is one for a token of a session that was ended.
 */
export function findMemberAccount(
  { db, recent: { members }, now }: EngineDeps,
  subjectsOf: SubjectsOf,
): FindAccount {
  return async (ctx, sub, token): Promise<MemberAccount | undefined> => {
    if (!isRowId(sub)) return undefined
    const found: Promise<KnownMember | undefined> = mayBeRecent()
      ? members.get(sub)
      : findActiveMember(db, sub)
    const member = await found.catch(tellUnavailable)
    if (!member) return undefined
    if (token && isSessionEnded(member, new Date(signedInAt(token) * 1000))) return undefined
    return {
      accountId: member.id,
      member,
      claims: async (use, scope, asked) => ({
        ...(await memberClaims({ db, now, subjectsOf }, ctx, member, scope, asked)),
        ...(use === 'id_token' && linkResultClaim(ctx)),
      }),
    }
  }
}

/** When the member signed in for this token, in seconds: a token made just now may be of a session from long ago. */
function signedInAt(token: NonNullable<Parameters<FindAccount>[2]>): number {
  if ('authTime' in token && typeof token.authTime === 'number') return token.authTime
  const authTime = 'extra' in token ? token.extra?.auth_time : undefined
  return typeof authTime === 'number' ? authTime : token.iat
}

/**
 * RFC 9470 section 6.2, RFC 9068 section 2.2.1: an access token carries when and how its member signed in, for whoever
 * reads or introspects it; the time is for us as well.
 */
export function signInFacts({ oidc: { entities } }: KoaContextWithOIDC): UnknownObject | undefined {
  const { authTime, acr } = entities.RefreshToken ?? entities.AuthorizationCode ?? entities.DeviceCode ?? {}
  return typeof authTime === 'number' ? { auth_time: authTime, ...(acr && { acr }) } : undefined
}

async function memberClaims(
  deps: Pick<EngineDeps, 'db' | 'now'> & { subjectsOf: SubjectsOf },
  ctx: KoaContextWithOIDC,
  member: KnownMember,
  scope: string,
  asked: object,
): Promise<AccountClaims> {
  const scopes = new Set(scope.split(' '))
  // OpenID Connect Core 5.5: a claim can be asked for by name, whatever the scope. The engine cuts the rest away.
  const wants = (name: keyof typeof scopeClaims) =>
    scopes.has(name) || scopeClaims[name].some((claim) => claim in asked)
  const email = wants('email') ? await emailOf(deps.db, member) : undefined
  const linkedAccounts = wants('linked_accounts') ? await disclosedLinks(deps, ctx, member.id) : undefined
  const claims = {
    ...profileClaims(member),
    ...(email && { email, email_verified: true }),
    ...(linkedAccounts && { linked_accounts: linkedAccounts }),
  }
  return { sub: member.id, ...allowedClaims(ctx, claims), ...(await previousSubs(deps, ctx, member)) }
}

/** By which other names the client knew who is this member now: as much as `sub` nothing anybody has to agree to. */
async function previousSubs(
  { subjectsOf }: { subjectsOf: SubjectsOf },
  { oidc: { client } }: KoaContextWithOIDC,
  member: KnownMember,
): Promise<{ previous_subs?: string[] }> {
  if (!client || ('absorbed' in member && member.absorbed.length === 0)) return {}
  const { previous } = await subjectsOf(client, member.id)
  return previous.length > 0 ? { previous_subs: previous } : {}
}

const emailOf = (db: Db, member: KnownMember) =>
  'email' in member ? member.email : primaryEmail(db, member.id)

/** An administrator may have named the claims a client can have at all. */
function allowedClaims(
  { oidc }: KoaContextWithOIDC,
  claims: Record<string, unknown>,
): Record<string, unknown> {
  const { client } = oidc
  if (!client) return claims
  return Object.fromEntries(Object.entries(claims).filter(([name]) => isClaimAllowed(client, name)))
}

export function isClaimAllowed(client: Client, name: string): boolean {
  return isClaimInMetadata(client, name)
}

/** The same of stored metadata, where no engine is at hand. */
export function isClaimInMetadata(metadata: unknown, name: string): boolean {
  const { data } = claimList.safeParse(metadata)
  return data === undefined || data.allowed_claims.includes(name)
}

const claimList = z.object({ allowed_claims: z.array(z.unknown()) })

function profileClaims(member: Member): Record<string, unknown> {
  const claims = {
    name: member.name,
    family_name: member.familyName,
    given_name: member.givenName,
    nickname: member.nickname,
    picture: member.picture,
    gender: member.gender,
    birthdate: member.birthdate,
    zoneinfo: member.zoneinfo,
    locale: member.locale,
    middle_name: member.middleName,
    preferred_username: member.preferredUsername,
    profile: member.profile,
    website: member.website,
    address: member.address,
    phone_number: member.phoneNumber,
    phone_number_verified: member.phoneNumber === null ? null : member.phoneVerifiedAt !== null,
    updated_at: Math.floor(member.updatedAt.getTime() / 1000),
  }
  return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== null))
}

/**
 * The linked accounts this client may see: of connections it is allowed and the member's consent has named, and of none
 * that is disabled. The scope, or the claim, was granted already.
 */
async function disclosedLinks(
  { db, now }: Pick<EngineDeps, 'db' | 'now'>,
  { oidc }: KoaContextWithOIDC,
  memberId: string,
): Promise<DisclosedLink[] | undefined> {
  const { client, entities } = oidc
  const allowed = Array.isArray(client?.allowed_connections) ? client.allowed_connections : []
  // A first-party client needs no consent: an administrator decided so.
  const agreed = client?.first_party === true ? allowed : contentOf(entities.Grant ?? {}).connections
  const connectionIds = allowed.filter((id) => agreed.includes(id))
  if (connectionIds.length === 0) return undefined
  const identities = await db.federatedIdentity.findMany({
    where: {
      ...{ memberId, connectionId: { in: connectionIds }, connection: { disabledAt: null } },
      // What was agreed to for a time is disclosed for that time.
      OR: [{ consentUntil: null }, { consentUntil: { gt: now() } }],
    },
    include: { connection: { select: { settings: true } } },
    orderBy: { linkedAt: 'asc' },
  })
  const viewer = { clientId: client?.clientId ?? '', sector: client && sectorOf(client) }
  return discloseLinks({ db, now, random: systemRandom, issuer: oidc.provider.issuer }, viewer, identities)
}
