import { randomBytes, randomInt } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { vi } from 'vitest'
import type { Message } from '../../src/demo/inbox/mail-store.ts'
import { type DemoWorld, startDemo } from '../../src/demo/world.ts'
import { createSealer, type Sealer } from '../../src/security/seal.ts'
import type { Db } from '../../src/store/db.ts'
import { createDatabase, type TestDatabase } from './database.ts'
import { type RedisServer, startRedis } from './redis.ts'

/** The server and all that is around it, as `npm run demo` starts them, over stores of the caller's own. */
export interface World extends Omit<DemoWorld, 'stop'> {
  db: Db
  redisUrl: string
  sealer: Sealer
  now(): Date
  /** The newest mail to this address with this subject, once it has come. */
  mailTo(address: string, subject: string): Promise<Message>
  /** Every mail to this address so far, oldest first. */
  subjectsTo(address: string): string[]
  close(): Promise<void>
}

/** `env` goes on top of what the demo runs with. Redis is not shared: limits count by address, and all tests have one. */
export async function startWorld(env: Record<string, string> = {}): Promise<World> {
  const [database, redis, folder] = await Promise.all([
    createDatabase(),
    startRedis(),
    mkdtemp(join(tmpdir(), 'hitotsu-world-')),
  ])
  const secretKey = randomBytes(32).toString('hex')
  const settings = {
    NODE_ENV: 'test',
    LOG_LEVEL: 'error',
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
    DATA_FOLDER: folder,
    SECRET_KEYS: secretKey,
    COOKIE_KEYS: randomBytes(32).toString('hex'),
    ...env,
  }
  const demo = await startOnFreePorts(settings).catch(async (error: unknown) => {
    await discard(database, redis, folder)
    throw error
  })
  return {
    ...demo,
    db: database.db,
    redisUrl: redis.url,
    sealer: createSealer([secretKey]),
    now: () => new Date(),
    mailTo: (address, subject) => waitForMail(demo, address, subject),
    subjectsTo: (address) =>
      mailsTo(demo, address)
        .map((mail) => mail.subject)
        .reverse(),
    close: async () => {
      await demo.stop()
      await discard(database, redis, folder)
    },
  }
}

/** The world takes five ports after one another, below those the system hands out; one in use means: elsewhere. */
async function startOnFreePorts(env: Record<string, string>): Promise<DemoWorld> {
  for (;;) {
    try {
      return await startDemo({ port: randomInt(2000, 6000) * 5, env })
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')) throw error
    }
  }
}

async function discard(database: TestDatabase, redis: RedisServer, folder: string): Promise<void> {
  await Promise.all([database.drop(), redis.stop(), rm(folder, { recursive: true, force: true })])
}

function mailsTo({ inbox }: DemoWorld, address: string): Message[] {
  return inbox.messages().filter((mail) => mail.to.includes(address))
}

function waitForMail(demo: DemoWorld, address: string, subject: string): Promise<Message> {
  return vi.waitFor(
    () => {
      const mails = mailsTo(demo, address)
      const found = mails.find((mail) => mail.subject === subject)
      if (found) return found
      throw new Error(`no mail to ${address} is called ${subject}; there is ${mails.map((it) => it.subject)}`)
    },
    { timeout: 10_000 },
  )
}
