import { importPKCS8, SignJWT } from 'jose'
import * as client from 'openid-client'
import { kindOf } from './kinds.ts'
import type { Connection } from './settings.ts'

/** Seconds. Signed for one request; Apple takes six months at most. */
const secretLifeSeconds = 300

/** How we prove to the upstream who we are. */
export function clientAuthentication(
  connection: Connection,
  secret: string,
  now: () => Date,
): client.ClientAuth {
  if (kindOf(connection.kind).secretIsKey) {
    const post = async (...[server, metadata, body, headers]: Parameters<client.ClientAuth>) => {
      client.ClientSecretPost(await signSecret(connection, secret, now()))(server, metadata, body, headers)
    }
    return post
  }
  return connection.settings.clientAuthentication === 'client_secret_post'
    ? client.ClientSecretPost(secret)
    : client.ClientSecretBasic(secret)
}

/** @see https://developer.apple.com/documentation/accountorganizationaldatasharing/creating-a-client-secret */
async function signSecret(
  { clientId, issuer, settings }: Connection,
  key: string,
  now: Date,
): Promise<string> {
  const { teamId = '', keyId = '' } = settings.signer ?? {}
  const issuedAt = Math.floor(now.getTime() / 1000)
  return new SignJWT({
    iss: teamId,
    sub: clientId,
    aud: issuer,
    iat: issuedAt,
    exp: issuedAt + secretLifeSeconds,
  })
    .setProtectedHeader({ alg: 'ES256', kid: keyId })
    .sign(await importPKCS8(key, 'ES256'))
}
