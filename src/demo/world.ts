import { join } from 'node:path'
import { redirectUriOf } from '../connections/pending-authorization.ts'
import { type RunningServer, readConfig, startServer } from '../main.ts'
import { keyedDigest } from '../security/digest.ts'
import { systemRandom } from '../security/random.ts'
import { createSealer } from '../security/seal.ts'
import { openDb } from '../store/db.ts'
import { type Inbox, startInbox } from './inbox/inbox.ts'
import { defaultSeed } from './line/seed.ts'
import { type LineSimulator, startLineSimulator } from './line/server.ts'
import { seedOfficialAccount } from './official-account.ts'
import { lineConnectionId, seedDemo, storeClientId, storeConnectionId } from './seed.ts'
import { type Store, startStore } from './store/store.ts'

export interface DemoWorld {
  hitotsu: RunningServer
  line: LineSimulator
  store: Store
  inbox: Inbox
  stop(): Promise<void>
}

export interface DemoOptions {
  /** Hitotsu here, its world on the three ports after it; mail on the fourth. */
  port: number
  env: Record<string, string | undefined>
}

const upstreamClientId = 'hitotsu'

/** Hitotsu and everything around it on this machine, in one process. What is kept is kept in the data folder. */
export async function startDemo({ port, env }: DemoOptions): Promise<DemoWorld> {
  const at = (offset: number) => `http://localhost:${port + offset}`
  const issuer = at(0)
  const settings = {
    LOG_LEVEL: 'warn',
    ...env,
    ISSUER: issuer,
    PORT: String(port),
    SMTP_URL: `smtp://127.0.0.1:${port + 4}`,
    OUTBOUND_PRIVATE_HOSTS: `127.0.0.1:${port + 1},localhost:${port + 2}`,
  }
  const config = readConfig(settings)
  const kept = (name: string) => join(config.DATA_FOLDER, 'demo', name)
  const { lineSeed, login, messaging } = lineSide(issuer)
  // Both sides must know it at every start, and the store keeps no secret of ours: it follows from this machine's keys.
  const upstreamSecret = keyedDigest(config.SECRET_KEYS[0] ?? '', 'demo', upstreamClientId)

  const closers: (() => Promise<unknown>)[] = []
  const stop = async () => {
    for (const close of closers.splice(0).reverse()) await close()
  }
  try {
    const inbox = await startInbox({ smtpPort: port + 4, httpPort: port + 3, statePath: kept('inbox.json') })
    closers.push(() => inbox.close())
    const line = await startLineSimulator({ port: port + 1, seed: lineSeed, statePath: kept('line.json') })
    closers.push(() => line.close())
    const hitotsu = await startServer(settings)
    closers.push(() => hitotsu.stop())

    const db = openDb(hitotsu.databaseUrl, 2)
    closers.push(() => db.$disconnect())
    const seeding = { db, random: systemRandom, sealer: createSealer(config.SECRET_KEYS), now: new Date() }
    const clientSecret = await seedDemo(seeding, {
      line: { issuer: line.url, channelId: login.id, channelSecret: login.secret },
      store: { issuer: at(2), clientId: upstreamClientId, clientSecret: upstreamSecret },
    })
    await seedOfficialAccount(seeding, {
      ...{ issuer, lineUrl: line.url, connectionId: lineConnectionId },
      ...{ channelId: messaging.id, channelSecret: messaging.secret },
    })
    const store = await startStore({
      port: port + 2,
      publicUrl: at(2),
      issuer,
      clientId: storeClientId,
      clientSecret,
      upstreamClient: {
        clientId: upstreamClientId,
        clientSecret: upstreamSecret,
        redirectUris: [redirectUriOf(issuer, storeConnectionId)],
      },
      statePath: kept('store.json'),
    })
    closers.push(() => store.close())
    return { hitotsu, line, store, inbox, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** What the simulator starts with: both channels carry our name. */
function lineSide(issuer: string) {
  const lineSeed = defaultSeed([redirectUriOf(issuer, lineConnectionId)])
  const channel = (kind: 'login' | 'messaging') => {
    const found = lineSeed.channels?.find((one) => one.kind === kind)
    if (!found) throw new Error(`the LINE simulator has a ${kind} channel`)
    found.name = 'Hitotsu'
    return found
  }
  return { lineSeed, login: channel('login'), messaging: channel('messaging') }
}
