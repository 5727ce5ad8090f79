import type { AdapterPayload, Client, Provider } from 'oidc-provider'
import { accountClientId } from './clients/account-client.ts'
import type { Recent } from './recent.ts'
import { tellUnavailable } from './unavailable.ts'

const maxInstances = 5_000

interface Instance {
  metadata: AdapterPayload
  text: string
  client: Client
}

/**
 * The engine validates a client's metadata whenever it has not seen it among the last hundred, and forgets the keys it
 * had fetched for it. Here an instance lives as long as its metadata stays the same.
 */
export function keepInstances(provider: Provider, { clients }: Recent): void {
  const build = provider.Client.find.bind(provider.Client)
  const instances = new Map<string, Instance>()

  const keep = (id: string, instance: Instance): Client => {
    instances.delete(id)
    instances.set(id, instance)
    for (const oldest of instances.keys()) {
      if (instances.size <= maxInstances) break
      instances.delete(oldest)
    }
    return instance.client
  }

  provider.Client.find = async (id) => {
    if (typeof id !== 'string' || id === '' || id === accountClientId) return build(id)
    const metadata = await clients.get(id).catch(tellUnavailable)
    const known = instances.get(id)
    if (!metadata) {
      instances.delete(id)
      return undefined
    }
    if (known?.metadata === metadata) return known.client
    const text = JSON.stringify(metadata)
    if (known?.text === text) return keep(id, { ...known, metadata })
    const client = await build(id)
    return client && keep(id, { metadata, text, client })
  }
}
