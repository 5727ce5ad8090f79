import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { exportJWK, generateKeyPair, type JWK } from 'jose'
import { systemRandom } from '../../src/security/random.ts'
import { type CertificatePair, clientCertificate, isUsable, serverCertificate } from './certificate.ts'

/** What a client of the FAPI plans proves itself with: a private key, or a certificate. */
export interface Credentials {
  key: JWK
  certificate: CertificatePair
}

/** What the suite is told and the server keeps at most digests of, so that a plan goes on working after a restart. */
export interface Kept {
  server: CertificatePair
  memberPassword: string
  initialAccessToken: string | undefined
  /** By client. */
  secrets: Record<string, string>
  /** Of the first and the second client of each FAPI plan. */
  credentials: [Credentials, Credentials]
}

/** What an earlier start has kept in this folder; what it has not, or is of no use any more, is made. */
export async function readKept(folder: string, hosts: readonly string[], now: Date): Promise<Kept> {
  const kept = readJson(join(folder, fileName))
  return {
    server:
      isUsable(kept.server, hosts, now) && kept.server ? kept.server : await serverCertificate(hosts, now),
    memberPassword: kept.memberPassword ?? systemRandom.token(15),
    initialAccessToken: kept.initialAccessToken,
    secrets: kept.secrets ?? {},
    // With a key for PS256 the suite also tries whether RS256 is refused.
    credentials: kept.credentials ?? [
      await makeCredentials('PS256', now),
      await makeCredentials('ES256', now),
    ],
  }
}

export function writeKept(folder: string, kept: Kept): void {
  writeSecret(join(folder, fileName), kept)
}

/** Readable by its owner alone. */
export function writeSecret(path: string, value: unknown): void {
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 })
}

const fileName = 'world.json'

function readJson(path: string): Partial<Kept> {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {}
    throw error
  }
}

async function makeCredentials(alg: string, now: Date): Promise<Credentials> {
  const { privateKey } = await generateKeyPair(alg, { extractable: true })
  const kid = systemRandom.token(8)
  return {
    key: { ...(await exportJWK(privateKey)), kid, alg, use: 'sig' },
    certificate: await clientCertificate(`conformance ${kid}`, now),
  }
}
