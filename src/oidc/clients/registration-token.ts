import { recordEvent } from '../../events/outbox.ts'
import { digest } from '../../security/digest.ts'
import type { Random } from '../../security/random.ts'
import type { Db, Tx } from '../../store/db.ts'
import type { RegistrationToken } from '../../store/generated/client.ts'
import { type RegistrationRules, registrationRules } from './dynamic-metadata.ts'

/** What an administrator says of a new initial access token (RFC 7591 section 3). */
export interface NewRegistrationToken extends RegistrationRules {
  /** What it is called by, and its only name: unique among those that were not revoked. */
  label: string
  expiresAt: Date
  /** Without a number, as many clients as come. */
  maxUses?: number | undefined
}

export interface RegistrationTokenView extends RegistrationRules {
  label: string
  uses: number
  maxUses: number | null
  createdAt: Date
  expiresAt: Date | null
}

/** Makes one. It is returned here and never again; a unique key rejects a label that is in use. */
export async function createRegistrationToken(
  tx: Tx,
  random: Random,
  { label, expiresAt, maxUses, ...rules }: NewRegistrationToken,
  now: Date,
): Promise<string> {
  const token = random.token()
  await tx.registrationToken.create({
    data: {
      digest: digest(token),
      kind: 'initial',
      label,
      maxUses: maxUses ?? null,
      payload: { rules },
      createdAt: now,
      expiresAt,
    },
  })
  await recordEvent(tx, { type: 'registration_token.created', data: { label } }, now)
  return token
}

/** Ends it. The clients it let in stay. False when there is none of that label. */
export async function revokeRegistrationToken(tx: Tx, label: string, now: Date): Promise<boolean> {
  const { count } = await tx.registrationToken.deleteMany({ where: { label, kind: 'initial' } })
  if (count === 0) return false
  await recordEvent(tx, { type: 'registration_token.revoked', data: { label } }, now)
  return true
}

export async function listRegistrationTokens(db: Db): Promise<RegistrationTokenView[]> {
  const rows = await db.registrationToken.findMany({
    where: { kind: 'initial' },
    orderBy: { createdAt: 'asc' },
  })
  return rows.map((row) => {
    const { label, uses, maxUses, createdAt, expiresAt } = row
    return { label: label ?? '', ...rulesOf(row), uses, maxUses, createdAt, expiresAt }
  })
}

/** Takes one use of an initial access token: of any number at once, no more succeed than it is good for. */
export async function takeUse(tx: Tx, token: string, now: Date): Promise<boolean> {
  const taken = await tx.$executeRaw`
    UPDATE "RegistrationToken" SET "uses" = "uses" + 1
    WHERE "digest" = ${digest(token)} AND "kind" = 'initial'
      AND ("expiresAt" IS NULL OR "expiresAt" > ${now}) AND ("maxUses" IS NULL OR "uses" < "maxUses")`
  return taken === 1
}

export function rulesOf({ payload }: Pick<RegistrationToken, 'payload'>): RegistrationRules {
  return registrationRules.parse((payload as { rules?: unknown }).rules)
}
