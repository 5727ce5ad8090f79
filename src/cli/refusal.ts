import type { z } from 'zod'

/** How a command ends, for scripts. */
export const exitCode = { done: 0, refused: 1, usage: 2 } as const

/** A command that is not carried out, and why, in plain words: one line for each fault, all of them. */
export class Refusal extends Error {
  readonly faults: readonly string[]
  readonly exitCode: number

  constructor(faults: string | readonly string[], code: number = exitCode.refused, cause?: unknown) {
    const lines = typeof faults === 'string' ? [faults] : faults
    super(lines.join('\n'), { cause })
    this.name = 'Refusal'
    this.faults = lines
    this.exitCode = code
  }
}

/** The command line itself does not say something that could be done, whatever is stored. */
export function wrongUsage(faults: readonly string[]): Refusal {
  return new Refusal(faults, exitCode.usage)
}

/**
 * The faults of an input, each under the option it was given with. `options` maps a path of the schema, without the
 * positions in lists, to the option's name.
 */
export function faultsByOption(
  error: z.ZodError,
  input: unknown,
  options: Readonly<Record<string, string>>,
): string[] {
  return error.issues.map((issue) => {
    const path = issue.path.filter((step) => typeof step !== 'number').join('.')
    const value = issue.path.reduce<unknown>(
      (at, step) => (at as Record<PropertyKey, unknown>)?.[step],
      input,
    )
    const option = options[path] ?? path
    if (value === undefined) return `${option} is required`
    // What is not given as an option is secret, and is not repeated.
    const shown = typeof value === 'string' && option.startsWith('--') ? ` ${value}` : ''
    return `${option}${shown}: ${inWords(issue)}`
  })
}

/** zod's own texts where they speak to programmers. */
function inWords(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_value':
      return `must be one of ${issue.values.join(', ')}`
    case 'invalid_format':
      return issue.format === 'url' ? 'is not a URL that can be used here' : issue.message
    case 'too_small':
      return issue.origin === 'string' && issue.minimum === 1 ? 'must not be empty' : issue.message
    case 'too_big':
      return issue.origin === 'string' ? `must have at most ${issue.maximum} characters` : issue.message
    default:
      return issue.message
  }
}
