import { kindOf } from './kinds.ts'
import type { Connection } from './settings.ts'

/** Where an upstream is to push what happens to its accounts; undefined where it tells us in another way. */
export function eventsUrlOf(
  issuer: string,
  { id, kind }: Pick<Connection, 'id' | 'kind'>,
): string | undefined {
  const { protocol, withdrawalNotice = 'risc' } = kindOf(kind)
  const isPushed = protocol === 'oidc' && (withdrawalNotice === 'risc' || withdrawalNotice === 'apple')
  return isPushed ? `${issuer}/connections/${id}/events` : undefined
}
