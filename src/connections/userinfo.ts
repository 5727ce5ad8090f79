import { z } from 'zod'
import type { Outbound } from '../http/outbound.ts'
import type { Claims } from './connector.ts'
import { UnusableAccount } from './identity-claims.ts'
import type { ConnectionSettings } from './settings.ts'

/** An upstream's answer that is no userinfo document. */
export class UnusableUserinfo extends Error {
  readonly fault: 'status' | 'not_json'
  readonly status: number

  constructor(fault: 'status' | 'not_json', status: number) {
    super(
      `the userinfo address answered ${status}, ${fault === 'not_json' ? 'not with a JSON object' : 'not with 200'}`,
    )
    this.name = 'UnusableUserinfo'
    this.fault = fault
    this.status = status
  }
}

/** Asks whose account an access token is of: RFC 6750 section 2.1, the token in the header and nowhere else. */
export async function fetchUserinfo(fetch: Outbound, url: string, accessToken: string): Promise<Claims> {
  const headers = { authorization: `Bearer ${accessToken}`, accept: 'application/json' }
  const response = await fetch(url, { headers })
  const body = await response.text()
  if (response.status !== 200) throw new UnusableUserinfo('status', response.status)
  const document = z.record(z.string(), z.unknown()).safeParse(parse(body))
  if (!document.success) throw new UnusableUserinfo('not_json', response.status)
  return document.data
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

type Mapping = NonNullable<ConnectionSettings['claims']>

/** A userinfo document in the words of OpenID Connect. @throws UnusableAccount */
export function mapClaims(mapping: Mapping, document: Claims): Claims {
  const { subject, subjectType, name, email, emailVerified } = mapping
  return {
    sub: subjectOf(valueAt(document, subject), subjectType),
    ...(name && { name: valueAt(document, name) }),
    ...(email && { email: valueAt(document, email) }),
    ...(emailVerified && { email_verified: valueAt(document, emailVerified) }),
  }
}

/**
 * One account, one text. An integer too large for a double is refused: it has lost its last digits, and may be another's.
 */
function subjectOf(value: unknown, type: Mapping['subjectType']): unknown {
  if (type === 'text' || value === undefined || value === null) return value
  if (!Number.isSafeInteger(value) || Number(value) < 0) throw new UnusableAccount('subject_not_integer')
  return String(value)
}

/** Own names alone: a document cannot lead into what every object has. */
function valueAt(document: Claims, path: string): unknown {
  return path.split('.').reduce<unknown>((at, name) => {
    const inner = z.record(z.string(), z.unknown()).safeParse(at)
    return inner.success && Object.hasOwn(inner.data, name) ? inner.data[name] : undefined
  }, document)
}
