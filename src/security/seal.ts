import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto'

/**
 * Authenticated encryption of a secret at rest. AES-256-GCM; the sealed text names its key, so keys rotate: the newest
 * seals, every configured one opens. `context` (what the secret is and whose) is authenticated with it: a sealed value
 * moved to another row does not open.
 */
export interface Sealer {
  seal(plaintext: string, context: string): string
  /** @throws Error when the key is unknown, or the text or its context was altered. */
  open(sealed: string, context: string): string
  /** How every text begins that the newest key sealed. */
  newestPrefix: string
}

interface Key {
  id: string
  secret: Buffer
}

/** @param secrets high-entropy strings (at least 32 characters), newest first. */
export function createSealer(secrets: readonly string[]): Sealer {
  const keys = secrets.map(deriveKey)
  const newest = keys[0]
  if (!newest) throw new RangeError('a sealer needs at least one key')
  const newestPrefix = `v1.${newest.id}.`

  return {
    newestPrefix,
    seal(plaintext, context) {
      const iv = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', newest.secret, iv).setAAD(Buffer.from(context))
      const text = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final()])
      const body = Buffer.concat([text, cipher.getAuthTag()])
      return `${newestPrefix}${iv.toString('base64url')}.${body.toString('base64url')}`
    },
    open(sealed, context) {
      const [version, keyId, iv, body] = sealed.split('.')
      const key = keys.find((candidate) => candidate.id === keyId)
      if (version !== 'v1' || !key || !iv || !body)
        throw new Error(`no sealing key opens this value (key ${keyId})`)
      const bytes = Buffer.from(body, 'base64url')
      const decipher = createDecipheriv('aes-256-gcm', key.secret, Buffer.from(iv, 'base64url'))
        .setAAD(Buffer.from(context))
        .setAuthTag(bytes.subarray(-16))
      return Buffer.concat([decipher.update(bytes.subarray(0, -16)), decipher.final()]).toString('utf8')
    },
  }
}

/** The configured string is stretched to a key (HKDF, RFC 5869); its id is a digest, so it tells nothing about the key. */
function deriveKey(secret: string): Key {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'hitotsu seal v1', 32))
  return { id: createHash('sha256').update('id').update(key).digest('base64url').slice(0, 8), secret: key }
}
