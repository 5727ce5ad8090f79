import type { Client, KoaContextWithOIDC, Provider } from 'oidc-provider'
import type { Random } from '../security/random.ts'
import type { Tx } from '../store/db.ts'
import { isRowId } from '../store/row-id.ts'
import { type Lineage, type Names, namesIn, readLineage, survivorOf } from './lineage.ts'
import { type EngineDeps, mayBeRecent, type Recent } from './recent.ts'
import { sectorOf, type Viewer } from './sector.ts'

/** The `sub` a client gets for a member, and those it had for the same person before (`previous_subs`). */
export interface Subjects {
  sub: string
  previous: string[]
}

interface SubjectDeps extends Pick<EngineDeps, 'db' | 'now'> {
  /** Unset where no request is served. */
  recent?: Recent
}

export type SubjectsOf = (client: Client, memberId: string) => Promise<Subjects>

/**
 * The single authority on what a client calls a member, be it by the member ID or by a name of its sector. A member who
 * has absorbed others may be known under one of theirs: that stays what it is (OpenID Connect Core 2: `sub` is never
 * reassigned, and locally never changes under a relying party that knows it).
 */
export function memberSubjects(deps: SubjectDeps, random: Random): SubjectsOf {
  return async (client, memberId) => {
    const { lineage, known } = await standing(deps, client, memberId)
    const sector = sectorOf(client)
    if (sector !== undefined) return sectorSubjects(deps, random, sector, lineage)
    const { current: sub, previous }: Names = namesIn(lineage, known)
    return { sub, previous }
  }
}

/** Of a member who was read for this request, nothing is asked anew. Nearly nobody has absorbed anybody. */
async function standing(
  { db, recent }: SubjectDeps,
  { clientId }: Client,
  memberId: string,
): Promise<{ lineage: Lineage; known: string[] }> {
  const member = mayBeRecent() ? await recent?.members.get(memberId) : undefined
  if (member) return { lineage: [memberId, ...member.absorbed], known: member.known[clientId] ?? [] }
  const lineage = await readLineage(db, memberId)
  if (lineage.length === 1) return { lineage, known: [] }
  const rows = await db.knownMember.findMany({ where: { clientId, memberId: { in: lineage } } })
  return { lineage, known: rows.map((row) => row.memberId) }
}

/**
 * OpenID Connect Core 8.1: the `sub` of a member in a client's sector. It is random and stored: it tells nothing about
 * the member, depends on no key, is nobody else's ever, and of several first askers at once all get the same.
 */
async function sectorSubjects(
  { db, now }: Pick<EngineDeps, 'db' | 'now'>,
  random: Random,
  sector: string,
  lineage: Lineage,
): Promise<Subjects> {
  const rows = await db.pairwiseSubject.findMany({ where: { sector, memberId: { in: lineage } } })
  const [sub, ...previous] = lineage.flatMap((id) => rows.find((row) => row.memberId === id)?.subject ?? [])
  if (sub !== undefined) return { sub, previous }
  const [memberId] = lineage
  const made = { sector, memberId, subject: random.token(16), createdAt: now() }
  await db.pairwiseSubject.createMany({ data: made, skipDuplicates: true })
  const where = { sector_memberId: { sector, memberId } }
  return { sub: (await db.pairwiseSubject.findUniqueOrThrow({ where })).subject, previous: [] }
}

/**
 * The member a client means by a `sub`: of one who was absorbed, the survivor. Undefined when it was never given that
 * one; whether somebody was absorbed, and by whom, only a client learns that knew them.
 */
export async function memberOfSubject(tx: Tx, client: Client, subject: string): Promise<string | undefined> {
  return memberKnownAs(tx, { clientId: client.clientId, sector: sectorOf(client) }, subject)
}

/** The same where no engine is at hand. */
export async function memberKnownAs(
  tx: Tx,
  { clientId, sector }: Viewer,
  subject: string,
): Promise<string | undefined> {
  if (sector !== undefined) {
    const row = await tx.pairwiseSubject.findUnique({ where: { subject } })
    return row?.sector === sector ? survivorOf(tx, row.memberId) : undefined
  }
  if (!isRowId(subject)) return undefined
  const survivorId = await survivorOf(tx, subject)
  if (survivorId === subject) return subject
  const known = await tx.knownMember.count({ where: { clientId, memberId: subject } })
  return known > 0 ? survivorId : undefined
}

/**
 * The engine asks for a client's own name of a member where the client is pairwise, and else takes the member ID. Here
 * ID tokens, userinfo and logout tokens get the name in either case.
 */
export function nameMembers(provider: Provider, subjectsOf: SubjectsOf): void {
  const { prototype } = (provider as unknown as { Claims: { prototype: ClaimsOfEngine } }).Claims
  const result = prototype.result
  prototype.result = async function () {
    const claims = await result.call(this)
    if (typeof claims.sub !== 'string' || sectorOf(this.client) !== undefined) return claims
    return { ...claims, sub: (await subjectsOf(this.client, claims.sub)).sub }
  }
}

interface ClaimsOfEngine {
  client: Client
  result(this: ClaimsOfEngine): Promise<Record<string, unknown>>
}

/** RFC 9068 section 2.2: the `sub` of an access token that is a JWT, as in the ID token beside it. */
export function nameInAccessToken(subjectsOf: SubjectsOf) {
  return async (
    _ctx: KoaContextWithOIDC,
    { accountId, client }: { accountId?: string; client?: Client | undefined },
    { payload }: { payload: Record<string, unknown> },
  ): Promise<void> => {
    if (accountId && client && sectorOf(client) === undefined)
      payload.sub = (await subjectsOf(client, accountId)).sub
  }
}
