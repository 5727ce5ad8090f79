/** Longer addresses are nobody's to come back to; headers that carry one would outgrow what is read of them. */
export const longestReturn = 2000

/**
 * The single authority on where a page of ours may send a browser that named the place itself: a path of this origin,
 * else `fallback`. Rules out `//host`, `/\host`, schemes, control characters and credentials (open redirects).
 */
export function returnTo(requested: string | undefined, issuer: string, fallback: string): string {
  if (
    !requested?.startsWith('/') ||
    requested.length > longestReturn ||
    !/^[\x21-\x7e]+$/.test(requested) ||
    requested.includes('\\')
  )
    return fallback
  const url = URL.parse(requested, issuer)
  // Judged once `.` and `..` are gone: `/.//host` is a path that becomes `//host`.
  return url && url.origin === issuer && !url.pathname.startsWith('//') ? url.pathname + url.search : fallback
}
