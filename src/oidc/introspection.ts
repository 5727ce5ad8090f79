import type { Client, Configuration, FindAccount } from 'oidc-provider'
import type { Recent } from './recent.ts'
import { sectorOf } from './sector.ts'
import type { SubjectsOf } from './subject.ts'

type Introspection = NonNullable<NonNullable<Configuration['features']>['introspection']>
type Policy = NonNullable<Introspection['allowedPolicy']>

/**
 * RFC 7662 section 4: a client learns of its own tokens, and the server of an API of those that are meant for it, as
 * the client that was named for that. A public client, which anybody can say to be, learns nothing.
 */
export function introspectionPolicy(
  { resources }: Recent,
  findAccount: FindAccount,
  subjectsOf: SubjectsOf,
): Policy {
  return async (ctx, client, token) => {
    if (client.clientAuthMethod === 'none') return false
    // The engine takes it for granted that whoever a token was given to is still there.
    const isOwn = token.clientId === client.clientId
    const owner = isOwn ? client : await ctx.oidc.provider.Client.find(token.clientId ?? '')
    if (!owner) return false
    const audience = 'aud' in token && typeof token.aud === 'string' ? token.aud : undefined
    if (!isOwn && (!audience || !(await isIntrospector(audience, client)))) return false
    if (!('accountId' in token)) return true
    // The engine asks whether token and grant exist, but not whether their member may still act.
    if ((await findAccount(ctx, token.accountId, token)) === undefined) return false
    // RFC 7662 section 2.2: `sub` as the token's client knows it. The engine lets `extra` stand above the member ID.
    if (sectorOf(owner) === undefined)
      Object.assign(token, {
        extra: { ...extraOf(token), sub: (await subjectsOf(owner, token.accountId)).sub },
      })
    return true
  }

  async function isIntrospector(audience: string, { clientId }: Client): Promise<boolean> {
    const resource = await resources.get(audience)
    return resource?.introspectorId === clientId && resource.disabledAt === null
  }
}

const extraOf = (token: object) => ('extra' in token && typeof token.extra === 'object' ? token.extra : {})
