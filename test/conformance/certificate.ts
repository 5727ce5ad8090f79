import { randomUUID, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { generate } from 'selfsigned'

/** In PEM. */
export interface CertificatePair {
  certificate: string
  key: string
}

const lifetimeDays = 365

/** What a server of these hosts shows; nobody but itself has signed it. */
export function serverCertificate(hosts: readonly string[], now: Date): Promise<CertificatePair> {
  const altNames = hosts.map((host) =>
    isIP(host) ? { type: 7 as const, ip: host } : { type: 2 as const, value: host },
  )
  // Who trusts several of them finds each by a name of its own.
  return selfSigned(`${hosts[0] ?? ''} ${randomUUID()}`, now, [
    { name: 'basicConstraints', cA: true, critical: true },
    { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, keyCertSign: true },
    { name: 'extKeyUsage', serverAuth: true },
    { name: 'subjectAltName', altNames },
  ])
}

/** What a client shows at the other end. */
export const clientCertificate = (name: string, now: Date) =>
  selfSigned(name, now, [
    { name: 'keyUsage', digitalSignature: true },
    { name: 'extKeyUsage', clientAuth: true },
  ])

/** Whether a certificate that was kept still does. */
export function isUsable(pair: CertificatePair | undefined, hosts: readonly string[], now: Date): boolean {
  if (!pair) return false
  const certificate = new X509Certificate(pair.certificate)
  const names = (host: string) => (isIP(host) ? certificate.checkIP(host) : certificate.checkHost(host))
  return certificate.validToDate > now && hosts.every((host) => names(host) !== undefined)
}

type Extensions = NonNullable<NonNullable<Parameters<typeof generate>[1]>['extensions']>

async function selfSigned(name: string, now: Date, extensions: Extensions): Promise<CertificatePair> {
  const notAfterDate = new Date(now.getTime() + lifetimeDays * 86_400_000)
  const made = await generate([{ name: 'commonName', value: name }], {
    ...{ algorithm: 'sha256', keySize: 2048, notBeforeDate: now, notAfterDate, extensions },
  })
  return { certificate: made.cert, key: made.private }
}
