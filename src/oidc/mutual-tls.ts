import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { ClientAuthMethod, Configuration, KoaContextWithOIDC } from 'oidc-provider'
import { isSameName } from './distinguished-name.ts'

type Features = NonNullable<Configuration['features']>

/** In which headers the proxy that ends TLS says who the client is. It sends them itself or takes them out. */
export interface CertificateHeaders {
  certificate: string
  /** Says `SUCCESS` where the proxy has built a chain to an authority it trusts. */
  verified: string | undefined
}

/**
 * Mutual TLS (RFC 8705). Only the proxy sees the certificate, so without its headers there is none of this: no method,
 * no metadata, and a header of that name is just a header. A certificate that cannot be read is no certificate.
 * There are no endpoint aliases (section 5): the proxy asks for certificates where it wants them.
 * @see https://www.rfc-editor.org/rfc/rfc8705
 */
export function mutualTls(headers: CertificateHeaders | undefined): NonNullable<Features['mTLS']> {
  // Tokens that were bound while there was one are still about.
  if (!headers) return { enabled: false, getCertificate: () => undefined }
  const { certificate, verified } = headers
  const getCertificate = (ctx: KoaContextWithOIDC) => readCertificate(ctx.get(certificate))
  return {
    enabled: true,
    certificateBoundAccessTokens: true,
    selfSignedTlsClientAuth: true,
    tlsClientAuth: verified !== undefined,
    getCertificate,
    certificateAuthorized: (ctx) => verified !== undefined && ctx.get(verified) === 'SUCCESS',
    certificateSubjectMatches(ctx, property, expected) {
      const presented = getCertificate(ctx)
      return presented !== undefined && isSubject(presented, property, expected)
    },
  }
}

/** The ways to be a client by certificate (section 2): by oneself, and where somebody passes it on, by an authority's word. */
export function certificateMethods(headers: CertificateHeaders | undefined): ClientAuthMethod[] {
  if (!headers) return []
  return headers.verified
    ? ['tls_client_auth', 'self_signed_tls_client_auth']
    : ['self_signed_tls_client_auth']
}

/** A certificate as RFC 9440 section 2.1 passes it on (`:base64:`), or as nginx does (PEM, percent-encoded). */
function readCertificate(header: string): X509Certificate | undefined {
  const der = /^:([A-Za-z0-9+/]+={0,2}):$/.exec(header)?.[1]
  if (!der && !header.startsWith('-----BEGIN%20CERTIFICATE-----')) return undefined
  try {
    return new X509Certificate(der ? Buffer.from(der, 'base64') : decodeURIComponent(header))
  } catch {
    return undefined
  }
}

/** RFC 8705 section 2.1.2: a client has registered exactly one of these. */
function isSubject(certificate: X509Certificate, property: string, expected: string): boolean {
  switch (property) {
    case 'tls_client_auth_subject_dn':
      return isSameName(expected, certificate.subject)
    case 'tls_client_auth_san_dns':
      return alternativeNames(certificate, 'DNS').some((name) => isSameText(name, expected))
    case 'tls_client_auth_san_uri':
      return alternativeNames(certificate, 'URI').includes(expected)
    case 'tls_client_auth_san_ip':
      return isIP(expected) !== 0 && certificate.checkIP(expected) !== undefined
    case 'tls_client_auth_san_email':
      return certificate.checkEmail(expected, { subject: 'never' }) !== undefined
    default:
      return false
  }
}

/** Node writes a name that holds a separator as a JSON string, so that none can pass for two. */
function alternativeNames({ subjectAltName = '' }: X509Certificate, kind: 'DNS' | 'URI'): string[] {
  return [...subjectAltName.matchAll(/(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,"]*)/g)]
    .filter(([, found]) => found === kind)
    .map(([, , name = '']) => (name.startsWith('"') ? String(JSON.parse(name)) : name))
}

const isSameText = (a: string, b: string) => a.toLowerCase() === b.toLowerCase()
