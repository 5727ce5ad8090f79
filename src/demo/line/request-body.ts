import type { Context } from 'koa'
import type { z } from 'zod'
import { apiRefusal, Refusal } from './refusal.ts'

const byteLimit = 2 * 1024 * 1024

/** The exact bytes received; LINE answers 413 above 2 MB. */
export async function readBytes(ctx: Context): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of ctx.req) {
    size += chunk.length
    if (size > byteLimit) throw apiRefusal(413, 'Request entity too large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

export async function readForm(ctx: Context): Promise<URLSearchParams> {
  return new URLSearchParams((await readBytes(ctx)).toString('utf8'))
}

/** An empty body counts as an empty object: LINE's own SDK sends such requests. */
export async function readJson<T extends z.ZodType>(ctx: Context, schema: T): Promise<z.output<T>> {
  const parsed = schema.safeParse(parseJson((await readBytes(ctx)).toString('utf8')))
  if (parsed.success) return parsed.data
  const details = parsed.error.issues.map((issue) => ({
    message: issue.message,
    property: issue.path.reduce<string>(appendPath, ''),
  }))
  throw new Refusal(400, { message: `The request body has ${details.length} error(s)`, details })
}

/** `messages[0].text`, as LINE writes it. */
function appendPath(path: string, part: PropertyKey): string {
  if (typeof part === 'number') return `${path}[${part}]`
  return path === '' ? String(part) : `${path}.${String(part)}`
}

function parseJson(text: string): unknown {
  if (text.trim() === '') return {}
  try {
    return JSON.parse(text)
  } catch (error) {
    throw Object.assign(apiRefusal(400, 'The request body could not be parsed as JSON'), { cause: error })
  }
}
