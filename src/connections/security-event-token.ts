import { errors, type JWTPayload, jwtVerify } from 'jose'
import { z } from 'zod'
import { audiencesOf } from './id-token.ts'
import type { Connection } from './settings.ts'
import { publishedAlgorithms, type UpstreamKeys } from './upstream-keys.ts'

/** `set`: RFC 8417, as RISC has it. `apple`: a JWT whose one event is a text of JSON. */
export type SecurityEventForm = 'set' | 'apple'

/** Something that happened to an account at its upstream. */
export interface SecurityEvent {
  /** The event's URI, or Apple's word for it. */
  type: string
  /** The account's identifier there; undefined when the event names none that we keep. */
  subject: string | undefined
  /** Seconds since 1970: when it happened, as the upstream says. */
  happenedAt: number
}

export type SecurityEventAnswer =
  | { outcome: 'verified'; jti: string; events: SecurityEvent[] }
  | { outcome: 'refused'; err: DeliveryError }

/** RFC 8935 section 2.4. */
export type DeliveryError =
  | 'invalid_request'
  | 'invalid_key'
  | 'invalid_issuer'
  | 'invalid_audience'
  | 'authentication_failed'

/** Seconds. An upstream delivers again for days; for longer than this a copy of a token is not known to be one. */
const maxAgeSeconds = 14 * 86_400

/** Verifies what an upstream posts: RFC 8417 sections 2.2 and 4, RFC 8725 sections 3.1, 3.8 and 3.11. */
export function securityEventVerifier(keysAt: UpstreamKeys, now: () => Date) {
  return async (
    connection: Connection,
    jwksUri: string,
    token: string,
    form: SecurityEventForm,
  ): Promise<SecurityEventAnswer> => {
    const verified = await jwtVerify(token, keysAt(jwksUri), {
      algorithms: publishedAlgorithms,
      issuer: spellingsOf(connection.issuer),
      audience: audiencesOf(connection),
      currentDate: now(),
      clockTolerance: 60,
      maxTokenAge: maxAgeSeconds,
      requiredClaims: ['iss', 'aud', 'iat', 'jti', 'events'],
      // RFC 8417 section 2.3: so that no other token of the same issuer is taken for one.
      ...(form === 'set' && { typ: 'secevent+jwt' }),
    }).catch(toError)
    if (typeof verified === 'string') return { outcome: 'refused', err: verified }
    const { payload } = verified
    const events = form === 'set' ? readEvents(payload, connection) : readAppleEvent(payload)
    const { jti } = payload
    if (!events || !jti || jti.length > 255) return { outcome: 'refused', err: 'invalid_request' }
    return { outcome: 'verified', jti, events }
  }
}

/** Google writes its issuer with a slash in security event tokens, and without in ID tokens. */
function spellingsOf(issuer: string): string[] {
  const bare = issuer.replace(/\/$/, '')
  return [bare, `${bare}/`]
}

const account = z.looseObject({
  format: z.string().optional(),
  /** As RISC had it before RFC 9493. */
  subject_type: z.string().optional(),
  iss: z.string().optional(),
  sub: z.string().optional(),
})
const setEvents = z.record(
  z.string().min(1).max(300),
  z.looseObject({ subject: z.unknown().optional(), event_timestamp: z.number().optional() }),
)

function readEvents(payload: JWTPayload, { issuer }: Connection): SecurityEvent[] | undefined {
  const { data } = setEvents.safeParse(payload.events)
  const { iat = 0, sub_id: subjectId, toe } = payload
  // RFC 8417 section 2.2: never empty.
  if (!data || Object.keys(data).length === 0 || Object.keys(data).length > 10) return undefined
  const subjectOf = (value: unknown): string | undefined => {
    const { data: found } = account.safeParse(value)
    const format = (found?.format ?? found?.subject_type)?.replace('-', '_')
    const isOurs = format === 'iss_sub' && spellingsOf(issuer).includes(found?.iss ?? '')
    return isOurs ? found?.sub : undefined
  }
  return Object.entries(data).map(([type, event]) => ({
    type,
    subject: subjectOf(subjectId ?? event.subject),
    happenedAt: event.event_timestamp ?? (typeof toe === 'number' ? toe : iat),
  }))
}

const appleEvent = z.looseObject({
  type: z.string().min(1).max(100),
  sub: z.string().min(1).max(255),
  /** Milliseconds. */
  event_time: z.number(),
})

/** @see https://developer.apple.com/documentation/signinwithapple/processing-changes-for-sign-in-with-apple-accounts */
function readAppleEvent({ events }: JWTPayload): SecurityEvent[] | undefined {
  const { data } = appleEvent.safeParse(typeof events === 'string' ? parsed(events) : events)
  return data && [{ type: data.type, subject: data.sub, happenedAt: Math.floor(data.event_time / 1000) }]
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** What is wrong with a token, in RFC 8935's words. Anything else that went wrong is not the token's fault. */
function toError(error: unknown): DeliveryError {
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'iss') return 'invalid_issuer'
    return error.claim === 'aud' ? 'invalid_audience' : 'invalid_request'
  }
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys)
    return 'invalid_key'
  if (error instanceof errors.JWSSignatureVerificationFailed || error instanceof errors.JOSEAlgNotAllowed)
    return 'authentication_failed'
  const isMalformed =
    error instanceof errors.JWTExpired ||
    error instanceof errors.JWTInvalid ||
    error instanceof errors.JWSInvalid ||
    error instanceof errors.JOSENotSupported
  if (isMalformed) return 'invalid_request'
  throw error
}
