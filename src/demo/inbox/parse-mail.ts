/** What the inbox keeps of one e-mail: decoded text, never the raw bytes. */
export interface ParsedMail {
  from: string
  to: string
  subject: string
  text: string
  html: string | null
}

interface Part {
  headers: Map<string, string>
  body: string
}

interface HeaderValue {
  value: string
  parameters: Map<string, string>
}

const maxDepth = 8

/**
 * Reads as much of RFC 5322 and MIME as our own mailer writes: folded and encoded headers, nested
 * multiparts, quoted-printable and base64. Attachments are left out. Never throws on a strange mail.
 */
export function parseMail(raw: Buffer): ParsedMail {
  const mail = readPart(raw.toString('latin1'))
  const bodies: { text?: string; html?: string } = {}
  collectBodies(mail, bodies, 0)
  return {
    from: readHeader(mail, 'from'),
    to: readHeader(mail, 'to'),
    subject: readHeader(mail, 'subject'),
    text: bodies.text ?? '',
    html: bodies.html ?? null,
  }
}

function collectBodies(part: Part, bodies: { text?: string; html?: string }, depth: number): void {
  const type = parseHeaderValue(part.headers.get('content-type') ?? 'text/plain')
  const boundary = type.parameters.get('boundary')
  if (type.value.startsWith('multipart/') && boundary && depth < maxDepth) {
    for (const inner of splitMultipart(part.body, boundary)) collectBodies(readPart(inner), bodies, depth + 1)
    return
  }
  const disposition = parseHeaderValue(part.headers.get('content-disposition') ?? 'inline')
  if (disposition.value === 'attachment') return
  // RFC 2046 section 5.1.4: alternatives of one kind are read once, the first one we can show.
  if (type.value === 'text/plain') bodies.text ??= decodeBody(part, type)
  if (type.value === 'text/html') bodies.html ??= decodeBody(part, type)
}

/** Bytes travel as a latin1 string until a part's own charset is known. */
function readPart(source: string): Part {
  const end = /\r?\n\r?\n/.exec(source)
  const head = end ? source.slice(0, end.index) : source
  const body = end ? source.slice(end.index + end[0].length) : ''
  const headers = new Map<string, string>()
  // RFC 5322 section 2.2.3: a line that starts with white space continues the one before.
  for (const line of head.replace(/\r?\n(?=[ \t])/g, '').split(/\r?\n/)) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).trim().toLowerCase()
    if (colon > 0 && !headers.has(name)) headers.set(name, line.slice(colon + 1).trim())
  }
  return { headers, body }
}

function splitMultipart(body: string, boundary: string): string[] {
  const inner: string[][] = []
  for (const line of body.split(/\r?\n/)) {
    const delimiter = line.trimEnd()
    if (delimiter === `--${boundary}--`) break
    // RFC 2046 section 5.1.1: what stands before the first delimiter is a preamble nobody reads.
    if (delimiter === `--${boundary}`) inner.push([])
    else inner.at(-1)?.push(line)
  }
  return inner.map((lines) => lines.join('\r\n'))
}

function parseHeaderValue(header: string): HeaderValue {
  const [value = '', ...rest] = header.split(/;(?=(?:[^"]*"[^"]*")*[^"]*$)/)
  const parameters = new Map<string, string>()
  for (const parameter of rest) {
    const equals = parameter.indexOf('=')
    if (equals < 0) continue
    const text = parameter.slice(equals + 1).trim()
    parameters.set(parameter.slice(0, equals).trim().toLowerCase(), text.replace(/^"(.*)"$/, '$1'))
  }
  return { value: value.trim().toLowerCase(), parameters }
}

function decodeBody(part: Part, type: HeaderValue): string {
  const encoding = (part.headers.get('content-transfer-encoding') ?? '7bit').toLowerCase()
  return decodeText(decodeTransfer(part.body, encoding), type.parameters.get('charset') ?? 'utf-8')
}

function decodeTransfer(body: string, encoding: string): Buffer {
  if (encoding === 'base64') return Buffer.from(body, 'base64')
  if (encoding !== 'quoted-printable') return Buffer.from(body, 'latin1')
  // RFC 2045 section 6.7 (3) and (5): trailing white space is not data, "=" at a line's end joins two lines.
  const joined = body.replace(/[ \t]+(?=\r?\n)/g, '').replace(/=\r?\n/g, '')
  return decodeHexEscapes(joined)
}

function decodeHexEscapes(source: string): Buffer {
  const text = source.replace(/=([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
  return Buffer.from(text, 'latin1')
}

function decodeText(bytes: Buffer, charset: string): string {
  try {
    return new TextDecoder(charset).decode(bytes)
  } catch {
    // An unknown charset name is a RangeError; the mail is still worth showing.
    return new TextDecoder().decode(bytes)
  }
}

const encodedWord = /=\?([^?*]+)(?:\*[^?]*)?\?([BbQq])\?([^?]*)\?=/g
const encodedWords = /=\?[^?]+\?[BbQq]\?[^?]*\?=(?:[ \t]*=\?[^?]+\?[BbQq]\?[^?]*\?=)*/g

/** RFC 2047; what is not in encoded words is read as UTF-8 (RFC 6532). */
function readHeader(part: Part, name: string): string {
  const header = Buffer.from(part.headers.get(name) ?? '', 'latin1').toString('utf8')
  // RFC 2047 section 6.2: white space between two encoded words is not shown.
  return header.replace(encodedWords, decodeWords)
}

/** Neighbors of one charset are decoded together: some mailers cut a multi-byte character in two. */
function decodeWords(words: string): string {
  const runs: { charset: string; bytes: Buffer[] }[] = []
  for (const [, charset = 'utf-8', kind = 'B', text = ''] of words.matchAll(encodedWord)) {
    const bytes =
      kind.toUpperCase() === 'B' ? Buffer.from(text, 'base64') : decodeHexEscapes(text.replaceAll('_', ' '))
    const last = runs.at(-1)
    if (last?.charset === charset) last.bytes.push(bytes)
    else runs.push({ charset, bytes: [bytes] })
  }
  return runs.map((run) => decodeText(Buffer.concat(run.bytes), run.charset)).join('')
}
