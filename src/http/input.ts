import type { z } from 'zod'
import { Problem } from '../problem.ts'
import type { HttpContext } from './context.ts'

/** A form that was read, or what is wrong with it: field name -> message key below `field_error`. */
export type FormResult<T> =
  | { ok: true; data: T }
  | { ok: false; fields: Record<string, string>; values: Record<string, string> }

/**
 * Reads a form with a schema whose messages are keys below `field_error`. What was typed comes back with the faults,
 * so that nothing typed is lost; fields named like secrets are not repeated.
 */
export function readForm<S extends z.ZodType>(ctx: HttpContext, schema: S): FormResult<z.output<S>> {
  const body = (ctx.request as { body?: Record<string, unknown> }).body ?? {}
  const parsed = schema.safeParse(body)
  if (parsed.success) return { ok: true, data: parsed.data }
  const fields = Object.fromEntries(
    parsed.error.issues.map((issue) => [String(issue.path[0] ?? 'form'), issue.message]).reverse(),
  )
  const values = Object.entries(body).filter(
    (entry): entry is [string, string] =>
      typeof entry[1] === 'string' && !/password|code|_csrf/i.test(entry[0]),
  )
  return { ok: false, fields, values: Object.fromEntries(values) }
}

/** Reads a form that no page of ours could have sent wrong. @throws Problem invalid_input */
export function requireForm<S extends z.ZodType>(ctx: HttpContext, schema: S): z.output<S> {
  const form = readForm(ctx, schema)
  if (!form.ok) throw new Problem('invalid_input', { fields: form.fields })
  return form.data
}

/** One query parameter, or undefined. @throws Problem invalid_input when it was sent twice. */
export function queryParameter(ctx: HttpContext, name: string): string | undefined {
  const value = ctx.query[name]
  if (Array.isArray(value)) throw new Problem('invalid_input', { fields: { [name]: 'repeated' } })
  return value
}
