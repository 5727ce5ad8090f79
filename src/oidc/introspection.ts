import type { Client, Configuration, FindAccount } from 'oidc-provider'
import type { Recent } from './recent.ts'

type Introspection = NonNullable<NonNullable<Configuration['features']>['introspection']>
type Policy = NonNullable<Introspection['allowedPolicy']>

/**
 * RFC 7662 section 4: a client learns of its own tokens, and the server of an API of those that are meant for it, as
 * the client that was named for that. A public client, which anybody can say to be, learns nothing.
 */
export function introspectionPolicy({ resources }: Recent, findAccount: FindAccount): Policy {
  return async (ctx, client, token) => {
    if (client.clientAuthMethod === 'none') return false
    if (token.clientId !== client.clientId) {
      const audience = 'aud' in token && typeof token.aud === 'string' ? token.aud : undefined
      if (!audience || !(await isIntrospector(audience, client))) return false
      // The engine takes it for granted that whoever a token was given to is still there.
      if (!(await ctx.oidc.provider.Client.find(token.clientId ?? ''))) return false
    }
    // The engine asks whether token and grant exist, but not whether their member may still act.
    return !('accountId' in token) || (await findAccount(ctx, token.accountId, token)) !== undefined
  }

  async function isIntrospector(audience: string, { clientId }: Client): Promise<boolean> {
    const resource = await resources.get(audience)
    return resource?.introspectorId === clientId && resource.disabledAt === null
  }
}
