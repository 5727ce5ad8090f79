import { createHash, randomUUID } from 'node:crypto'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import * as oidc from 'openid-client'
import type { NewClient } from '../../src/oidc/clients/new-client.ts'
import type { TestApp } from './app.ts'
import { givenClient } from './given.ts'
import { type Answer, post } from './post.ts'
import { begin, type RelyingParty, relyingParty } from './relying-party.ts'

export type KeyPair = Awaited<ReturnType<typeof generateKeyPair>>

/** A client under the FAPI 2.0 profile, with the keys it proves itself and its tokens with. */
export interface FapiClient extends RelyingParty {
  keys: KeyPair
  proofKeys: KeyPair
  DPoP: oidc.DPoPHandle
}

export const newKeys = (alg = 'ES256') => generateKeyPair(alg, { extractable: true })

/** The key set a client registers for these, each with its algorithm. */
export async function publicKeys(
  ...pairs: [KeyPair, string][]
): Promise<{ keys: Record<string, unknown>[] }> {
  return {
    keys: await Promise.all(
      pairs.map(async ([{ publicKey }, alg]) => ({ ...(await exportJWK(publicKey)), alg, use: 'sig' })),
    ),
  }
}

/** What is not said is as the profile has it: `private_key_jwt` with ES256, pushed requests, tokens bound by DPoP. */
export async function givenFapiClient(
  server: TestApp,
  { keys, ...input }: Partial<NewClient> & { keys?: KeyPair } = {},
): Promise<FapiClient> {
  const own = keys ?? (await newKeys())
  const proofKeys = await newKeys()
  const client = await givenClient(server, {
    profile: 'fapi2',
    jwks: await publicKeys([own, 'ES256']),
    ...input,
  })
  const authentication = oidc.PrivateKeyJwt({ key: own.privateKey as CryptoKey })
  const party = await relyingParty(
    server,
    client,
    authentication,
    input.metadata as Partial<oidc.ClientMetadata>,
  )
  return {
    ...party,
    keys: own,
    proofKeys,
    DPoP: oidc.getDPoPHandle(party.config, proofKeys as CryptoKeyPair),
  }
}

export const seconds = (offset = 0) => Math.floor(Date.now() / 1000) + offset

export interface Changes {
  payload?: Record<string, unknown>
  header?: Record<string, unknown>
  pair?: KeyPair
}

/** A good assertion of a client, with these changes on top; undefined leaves a claim out. */
function assertion(
  { issuer }: Pick<TestApp, 'issuer'>,
  { id, keys }: Pick<FapiClient, 'id' | 'keys'>,
  { payload, header, pair = keys }: Changes = {},
): Promise<string> {
  const good = { iss: id, sub: id, aud: issuer, jti: randomUUID(), iat: seconds(), exp: seconds(60) }
  return new SignJWT({ ...good, ...payload })
    .setProtectedHeader({ alg: 'ES256', ...header })
    .sign(pair.privateKey)
}

/** What a form holds besides to be the client's. */
export async function proving(
  server: Pick<TestApp, 'issuer'>,
  client: Pick<FapiClient, 'id' | 'keys'>,
  changes: Changes = {},
): Promise<Record<string, string>> {
  return {
    client_id: client.id,
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: await assertion(server, client, changes),
  }
}

/** A good proof of possession for this call, with changes on top. */
export async function dpopProof(
  pair: KeyPair,
  call: { htm: string; htu: string; token?: string | undefined },
  { payload, header }: Omit<Changes, 'pair'> = {},
): Promise<string> {
  const { htm, htu, token } = call
  const ath = token && createHash('sha256').update(token).digest('base64url')
  return new SignJWT({ jti: randomUUID(), htm, htu, iat: seconds(), ath, ...payload })
    .setProtectedHeader({
      typ: 'dpop+jwt',
      alg: 'ES256',
      jwk: await exportJWK(pair.publicKey),
      ...header,
    })
    .sign(pair.privateKey)
}

/** A signed authorization request as FAPI 2.0 Message Signing wants it, with changes on top. */
export async function requestObject(
  { issuer }: Pick<TestApp, 'issuer'>,
  client: RelyingParty & { keys: KeyPair },
  parameters: Record<string, string>,
  { payload, header, pair = client.keys }: Changes = {},
): Promise<string> {
  const claims = { iss: client.id, aud: issuer, iat: seconds(), nbf: seconds(), exp: seconds(60) }
  return new SignJWT({ client_id: client.id, ...parameters, ...claims, ...payload })
    .setProtectedHeader({ alg: 'ES256', typ: 'oauth-authz-req+jwt', ...header })
    .sign(pair.privateKey)
}

/** The parameters of a good authorization request of this client, with others on top; an empty one is left out. */
export async function requestOf(
  party: RelyingParty,
  parameters: Record<string, string> = {},
): Promise<Record<string, string>> {
  return Object.fromEntries((await begin(party, { ...parameters })).url.searchParams)
}

/** Pushes these parameters as they are, with an assertion that has these changes. */
export async function pushForm(
  server: TestApp,
  client: FapiClient,
  parameters: Record<string, string>,
  changes: Changes = {},
  headers: Record<string, string> = {},
): Promise<Answer> {
  return post(server, '/par', { ...parameters, ...(await proving(server, client, changes)) }, { headers })
}
