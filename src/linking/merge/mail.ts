import type { StoredEvent } from '../../events/event.ts'
import { toLocale } from '../../http/i18n.ts'
import type { Mail } from '../../mail/mailer.ts'
import { codeTtlSeconds } from '../../members/email-code.ts'
import { type MemberMailDeps, noticeMail } from '../../members/mail.ts'
import type { Db } from '../../store/db.ts'

/** Tells both sides of a merge, and of its undoing; and sends the code that a member asks for to undo one. */
export async function mergeMail(
  deps: Pick<MemberMailDeps, 'db' | 'issuer' | 'codes'>,
  event: StoredEvent,
): Promise<Mail | undefined> {
  const { db, issuer } = deps
  const mergesUrl = `${issuer}/account/merges`
  switch (event.type) {
    case 'member.merged':
      return noticeMail(deps, event, 'members-merged', await undoModel(db, event.data.mergeId, mergesUrl))
    case 'member.absorbed': {
      const model = await undoModel(db, event.data.mergeId, mergesUrl)
      // The address is the survivor's by now; the member may be reached there alone.
      const address = await absorbedAddress(db, event.data.mergeId)
      return address ? noticeMail(deps, event, 'members-merged', model, address.value) : undefined
    }
    case 'member.merge_undo_requested':
      return event.data.undoId ? codeMail(deps, event, event.data.undoId) : undefined
    case 'member.merge_undone':
    case 'member.restored':
      return noticeMail(deps, event, 'merge-undone')
    default:
      return undefined
  }
}

async function undoModel(db: Db, mergeId: string, mergesUrl: string): Promise<Record<string, unknown>> {
  const merge = await db.merge.findUnique({
    where: { id: mergeId },
    include: { survivor: { select: { locale: true } } },
  })
  const locale = toLocale(merge?.survivor.locale ?? undefined) ?? 'ja'
  const until =
    merge &&
    new Intl.DateTimeFormat(locale, { dateStyle: 'long', timeZone: 'Asia/Tokyo' }).format(merge.undoUntil)
  return { mergesUrl, until }
}

/** The address mail to the absorbed member went to; after the merge it is one of the survivor's. */
export async function absorbedAddress(
  db: Db,
  mergeId: string,
): Promise<{ id: string; value: string } | undefined> {
  const rows = await db.mergeJournal.findMany({
    where: { mergeId, table: 'ContactPoint' },
    orderBy: { position: 'asc' },
  })
  // The primary one comes first (`gatherMergeFacts`).
  const [id] = rows.flatMap(({ key }) =>
    key && typeof key === 'object' && 'id' in key && typeof key.id === 'string' ? [key.id] : [],
  )
  const found = id === undefined ? null : await db.contactPoint.findUnique({ where: { id } })
  return found ? { id: found.id, value: found.value } : undefined
}

async function codeMail(
  { db, codes }: Pick<MemberMailDeps, 'db' | 'codes'>,
  event: Extract<StoredEvent, { type: 'member.merge_undo_requested' }>,
  undoId: string,
): Promise<Mail | undefined> {
  const merge = await db.merge.findUnique({
    where: { id: event.data.mergeId },
    include: { absorbed: { select: { locale: true } } },
  })
  const address = await absorbedAddress(db, event.data.mergeId)
  if (!address) return undefined
  const locale = toLocale(merge?.absorbed.locale ?? undefined) ?? 'ja'
  const model = { code: await codes.issue(undoId), minutes: codeTtlSeconds / 60 }
  return { id: event.id, to: address.value, locale, template: 'merge-undo-code', model }
}
