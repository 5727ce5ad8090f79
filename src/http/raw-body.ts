import { Problem } from '../problem.ts'
import type { HttpContext } from './context.ts'

/**
 * The exact bytes of a request that nothing has read yet, for signatures over them; never more than `limit` of them.
 * @throws Problem payload_too_large, unsupported_media_type (compressed)
 */
export async function readRawBody(ctx: HttpContext, limit: number): Promise<Buffer> {
  if (ctx.get('Content-Encoding')) throw new Problem('unsupported_media_type')
  if (Number(ctx.get('Content-Length') || 0) > limit) throw new Problem('payload_too_large')
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of ctx.req) {
    size += chunk.length
    if (size > limit) throw new Problem('payload_too_large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
