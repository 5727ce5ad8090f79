/** Why a redirect_uri is none of the registered ones: the first difference from the closest of them. */
export type MismatchRule =
  | 'missing'
  | 'malformed'
  | 'host'
  | 'letter_case'
  | 'scheme'
  | 'port'
  | 'trailing_slash'
  | 'path'
  | 'query'
  | 'spelling'

export interface RedirectMismatch {
  rule: MismatchRule
  /** Host and path of what was received; nothing when it has neither. */
  received: string | undefined
  /** Host and path of what is registered, the closest first, at most five. */
  registered: string[]
}

const shown = 5
const maxLength = 200

/**
 * RFC 9700 section 2.1 compares the two character by character; this says where they part. What it returns is plain
 * ASCII without query, fragment or credentials, cut to a length that a page can hold.
 */
export function explainMismatch(
  received: string | undefined,
  registered: readonly string[],
): RedirectMismatch {
  const url = received === undefined ? null : URL.parse(received)
  const known = registered.flatMap((text) => {
    const parsed = URL.parse(text)
    return parsed ? [{ text, url: parsed }] : []
  })
  if (received === undefined || !url) {
    const rule = received === undefined ? 'missing' : 'malformed'
    return { rule, received: undefined, registered: unique(known.map((it) => hostAndPath(it.url))) }
  }
  const ranked = known
    .map((it) => ({ ...it, rule: difference(received, url, it.text, it.url), score: likeness(url, it.url) }))
    .sort((a, b) => b.score - a.score)
  return {
    rule: ranked[0]?.rule ?? 'host',
    received: hostAndPath(url),
    registered: unique(ranked.map((it) => hostAndPath(it.url))),
  }
}

function difference(textA: string, a: URL, textB: string, b: URL): MismatchRule {
  if (textA.toLowerCase() === textB.toLowerCase()) return 'letter_case'
  if (a.hostname !== b.hostname) return 'host'
  if (a.protocol !== b.protocol) return 'scheme'
  if (a.port !== b.port) return 'port'
  if (a.pathname !== b.pathname) return pathDifference(a.pathname, b.pathname)
  return a.search === b.search ? 'spelling' : 'query'
}

function pathDifference(a: string, b: string): MismatchRule {
  if (a.toLowerCase() === b.toLowerCase()) return 'letter_case'
  return a.replace(/\/+$/, '') === b.replace(/\/+$/, '') ? 'trailing_slash' : 'path'
}

/** The host counts above all, then the path, then the rest; of other hosts those of the same domain come first. */
function likeness(a: URL, b: URL): number {
  const host = a.hostname === b.hostname ? 1000 : 100 * sharedLabels(a.hostname, b.hostname)
  const rule = pathDifference(a.pathname, b.pathname)
  const path = a.pathname === b.pathname ? 40 : rule === 'path' ? 0 : 20
  return host + path + (a.protocol === b.protocol ? 8 : 0) + (a.port === b.port ? 4 : 0)
}

function sharedLabels(a: string, b: string): number {
  const [left, right] = [a.split('.').reverse(), b.split('.').reverse()]
  const first = left.findIndex((label, i) => label !== right[i])
  return Math.min(first === -1 ? left.length : first, 9)
}

/** The scheme is said where it is not the web's: there is often nothing else. */
function hostAndPath(url: URL): string {
  const web = url.protocol === 'https:' || url.protocol === 'http:'
  const text = `${web ? '' : url.protocol}${!web && url.host ? '//' : ''}${url.host}${url.pathname}`
  return plainText(text, maxLength)
}

/** Anybody's text as printable ASCII of at most this length: nothing that turns, hides or breaks what is around it. */
export function plainText(text: string, length: number): string {
  const plain = text.replace(/[^\x20-\x7e]/gu, '?')
  return plain.length > length ? `${plain.slice(0, length)}...` : plain
}

const unique = (texts: string[]) => [...new Set(texts)].slice(0, shown)
