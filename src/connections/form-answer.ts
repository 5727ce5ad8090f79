import type { Sealer } from '../security/seal.ts'

/** Of an answer that came as a form, what belongs to it: RFC 6749 section 4.1.2, RFC 9207, and Apple's `user`. */
const plain = ['state', 'code', 'iss', 'error', 'error_description'] as const
const personal = 'user'
const maxLength = 2000

/**
 * An answer that an upstream posted (OAuth 2.0 Form Post Response Mode), as the query to come back with. A form from
 * another site comes without the cookie that binds the trip to its browser; the GET that follows has it. What the form
 * says of a person is sealed, bound to the state: an address is kept in histories.
 */
export function formAnswerToQuery(sealer: Sealer, form: Record<string, unknown>): URLSearchParams {
  const text = (name: string) => {
    const value = form[name]
    return typeof value === 'string' && value.length <= maxLength ? value : undefined
  }
  const query = new URLSearchParams()
  for (const name of plain) {
    const value = text(name)
    if (value !== undefined) query.set(name, value)
  }
  const user = text(personal)
  if (user !== undefined) query.set(personal, sealer.seal(user, context(query)))
  return query
}

/** The answer as it was posted. What was sealed for another state, or by nobody, is not in it. */
export function openFormAnswer(sealer: Sealer, query: URLSearchParams): URLSearchParams {
  const answer = new URLSearchParams(query)
  const sealed = answer.get(personal)
  if (sealed === null) return answer
  answer.delete(personal)
  try {
    answer.set(personal, sealer.open(sealed, context(query)))
  } catch {
    // Somebody else wrote it: the account goes without a name.
  }
  return answer
}

const context = (query: URLSearchParams) => `form answer ${query.get('state') ?? ''}`
