import { recordEvent } from '../../events/outbox.ts'
import type { Tx } from '../../store/db.ts'

export interface PromptSettings {
  promptAfterSignIn: boolean
  promptEveryDays: number
}

/** Says whether and how often members are asked to link a connection. False when that is so already. */
export async function changePrompts(
  tx: Tx,
  connectionId: string,
  change: Partial<PromptSettings>,
  now: Date,
): Promise<boolean> {
  const before = await tx.connection.findUniqueOrThrow({ where: { id: connectionId } })
  const names = ['promptAfterSignIn', 'promptEveryDays'] as const
  const changed = names.filter((name) => change[name] !== undefined && change[name] !== before[name])
  if (changed.length === 0) return false
  await tx.connection.update({ where: { id: connectionId }, data: { ...change, updatedAt: now } })
  await recordEvent(tx, { type: 'connection.updated', data: { connectionId, changed } }, now)
  return true
}
