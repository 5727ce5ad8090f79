/** An attribute of a name, prepared for comparison: its type and its value. */
type Attribute = `${string}=${string}`

/** Types that have a name, by that name in lower case. Others are compared by their dotted identifier. */
const identifiers: Record<string, string> = {
  cn: '2.5.4.3',
  sn: '2.5.4.4',
  surname: '2.5.4.4',
  serialnumber: '2.5.4.5',
  c: '2.5.4.6',
  l: '2.5.4.7',
  st: '2.5.4.8',
  street: '2.5.4.9',
  o: '2.5.4.10',
  ou: '2.5.4.11',
  title: '2.5.4.12',
  businesscategory: '2.5.4.15',
  postalcode: '2.5.4.17',
  gn: '2.5.4.42',
  givenname: '2.5.4.42',
  dnqualifier: '2.5.4.46',
  organizationidentifier: '2.5.4.97',
  uid: '0.9.2342.19200300.100.1.1',
  dc: '0.9.2342.19200300.100.1.25',
  email: '1.2.840.113549.1.9.1',
  emailaddress: '1.2.840.113549.1.9.1',
  jurisdictionl: '1.3.6.1.4.1.311.60.2.1.1',
  jurisdictionst: '1.3.6.1.4.1.311.60.2.1.2',
  jurisdictionc: '1.3.6.1.4.1.311.60.2.1.3',
}

/**
 * Whether a name written as RFC 4514 says is the subject of a certificate, as `X509Certificate.subject` of node:crypto
 * gives it: one relative name a line, in the order of the certificate, which RFC 4514 section 2.1 turns around. Compared
 * by distinguishedNameMatch (RFC 4517 section 4.2.15): types by identifier, values without regard to case and to
 * insignificant spaces, several attributes of one relative name in any order. What cannot be read is never the same.
 */
export function isSameName(expected: string, subject: string): boolean {
  const wanted = splitUnescaped(expected, ',').map(readRelativeName).reverse()
  const found = subject.split('\n').map(readRelativeName)
  return (
    wanted.length === found.length &&
    wanted.every((name, i) => name !== undefined && name.join('\n') === found[i]?.join('\n'))
  )
}

/** The attributes of one relative name in one order, whichever they were written in. */
function readRelativeName(text: string): Attribute[] | undefined {
  const attributes = splitUnescaped(text, '+').map(readAttribute)
  return attributes.every((attribute) => attribute !== undefined) ? attributes.sort() : undefined
}

function readAttribute(text: string): Attribute | undefined {
  const [, name, written = ''] =
    /^\s*(?:oid\.)?([a-z][a-z0-9-]*|\d+(?:\.\d+)+)\s*=\s*(.*)$/is.exec(text) ?? []
  if (!name) return undefined
  const value = written.startsWith('#') ? readEncoded(written) : readEscapes(written)
  if (value === undefined) return undefined
  const type = name.toLowerCase()
  return `${identifiers[type] ?? type}=${prepare(value)}`
}

/** RFC 4518 section 2, as far as names need it: compatibility form, case, spaces. */
const prepare = (value: string) => value.normalize('NFKC').toLowerCase().replace(/\s+/g, ' ').trim()

/** RFC 4514 section 2.4: pairs of hexadecimal digits are bytes of UTF-8, anything else stands for itself. */
function readEscapes(text: string): string {
  return text.replace(/((?:\\[0-9a-f]{2})+)|\\(.)/gis, (_, bytes: string | undefined, char: string) =>
    bytes ? Buffer.from(bytes.replaceAll('\\', ''), 'hex').toString('utf8') : char,
  )
}

const utf8Tags = [0x0c, 0x13, 0x16]

/** RFC 4514 section 2.4: `#` and the value in BER, here of a UTF8String, PrintableString or IA5String. */
function readEncoded(text: string): string | undefined {
  const [tag = 0, length, ...content] = Buffer.from(text.trim().slice(1), 'hex')
  if (!utf8Tags.includes(tag) || length !== content.length || length > 127) return undefined
  return Buffer.from(content).toString('utf8')
}

function splitUnescaped(text: string, separator: ',' | '+'): string[] {
  const parts = ['']
  for (const [token] of text.matchAll(/\\.|[^\\]|\\$/gs)) {
    if (token === separator) parts.push('')
    else parts[parts.length - 1] += token
  }
  return parts
}
