import { z } from 'zod'
import type { UpstreamKind } from '../connector.ts'

/**
 * Sign in with Apple. Its client secret is a JWT that a key signs; asked for a name or an address it answers by a form;
 * the name is in that form, at the member's first consent alone, and in no token.
 * @see https://developer.apple.com/documentation/signinwithapplerestapi
 * @see https://developer.apple.com/documentation/accountorganizationaldatasharing/creating-a-client-secret
 */
export const appleKind: UpstreamKind = {
  protocol: 'oidc',
  title: 'Apple',
  documentation: 'https://developer.apple.com/documentation/signinwithapplerestapi',
  issuer: 'https://appleid.apple.com',
  settings: {
    scope: 'openid name email',
    clientAuthentication: 'client_secret_post',
    idTokenSigningAlg: 'RS256',
    trustEmail: false,
    authorizationParams: {},
    disclosure: 'subject',
  },
  asks: { signer: 'the team ID, and the key ID that the .p8 file was downloaded with' },
  vouchesForEmail: true,
  // "A String or Boolean value": the claim is true, or the text `true`.
  verifiedAs: ['true'],
  provesAfresh: false,
  withdrawalNotice: 'apple',
  secretIsKey: true,
  answersByForm: ({ scope }) => /(^| )(name|email)( |$)/.test(scope),
  nameIn: (answer) => nameIn(answer.get('user')),
}

const user = z.object({
  name: z.object({ firstName: z.string().optional(), lastName: z.string().optional() }),
})

/** In the order of the language it is written in: in Japanese, Chinese and Korean the family name comes first. */
function nameIn(text: string | null): string | undefined {
  const { firstName = '', lastName = '' } = user.safeParse(parse(text)).data?.name ?? {}
  const isEastAsian = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u.test(
    lastName,
  )
  const parts = isEastAsian ? [lastName, firstName] : [firstName, lastName]
  return parts.filter(Boolean).join(' ') || undefined
}

function parse(text: string | null): unknown {
  try {
    return text === null ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}
