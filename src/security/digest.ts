import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

/**
 * SHA-256 in base64url: how a value with at least 128 bits of entropy (client secret, refresh token) is kept at rest.
 * Not for passwords or short codes, which need a slow hash or a keyed one.
 */
export function digest(value: string): string {
  return createHash('sha256').update(value).digest('base64url')
}

/** HMAC-SHA-256 in base64url, bound to a purpose so that one key never signs two kinds of statement. */
export function keyedDigest(key: string, purpose: string, value: string): string {
  return createHmac('sha256', key).update(`${purpose}\0${value}`).digest('base64url')
}

/** Compares in a time that does not depend on where two values differ. */
export function equalInConstantTime(a: string, b: string): boolean {
  return timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest())
}
