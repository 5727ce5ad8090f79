import type { HttpContext } from '../../http/context.ts'
import { sourceOf } from '../../http/rate-limit.ts'
import type { ConsentPlace } from '../link-consent.ts'

/** Where an agreement is given, for its evidence. */
export function placeOf(ctx: HttpContext): ConsentPlace {
  const userAgent = ctx.get('user-agent').slice(0, 300)
  return { source: sourceOf(ctx.ip), ...(userAgent && { userAgent }) }
}
