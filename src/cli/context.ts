import { join } from 'node:path'
import { type Config, loadConfig } from '../config/config.ts'
import { developmentKeys } from '../config/development-keys.ts'
import { openSigningKeys, readKeyFacts } from '../oidc/keys/signing-key.ts'
import { systemRandom } from '../security/random.ts'
import { createSealer, type Sealer } from '../security/seal.ts'
import { type Db, isDbUnavailable, openDb } from '../store/db.ts'
import { openEmbeddedPostgres } from '../store/embedded-postgres.ts'
import { readMigrations } from '../store/migrate.ts'
import { Refusal } from './refusal.ts'

/** What a command gets from the process it runs in. */
export interface Surroundings {
  env: Record<string, string | undefined>
  now: () => Date
}

/** What a command works with. */
export interface Context {
  config: Config
  db: Db
  now: Date
  /** Seals with the keys the server opens with. */
  sealer(): Promise<Sealer>
}

/** A list is worked through a few lines at once. */
const poolSize = 4

/**
 * Runs `work` over the database the server uses: `DATABASE_URL`, or the embedded PostgreSQL of the data folder, joined
 * when it runs and else started for as long as `work` takes.
 */
export async function withDatabase<T>(
  env: Surroundings['env'],
  work: (config: Config, url: string) => Promise<T>,
): Promise<T> {
  // Keys are made by the first command that needs them, and by no other.
  const config = loadConfig(env, () => ({ SECRET_KEYS: [], COOKIE_KEYS: [] }))
  if (config.DATABASE_URL) return work(config, config.DATABASE_URL)

  const folder = join(config.DATA_FOLDER, 'postgres')
  const postgres = await openEmbeddedPostgres({ folder, share: true, log: () => {} }).catch(
    (cause: Error) => {
      throw new Refusal(cause.message, undefined, cause)
    },
  )
  // A command cut short still ends the server it started; a joined one is not its to end.
  const endEarly = () => void postgres.stop().finally(() => process.exit(130))
  process.once('SIGINT', endEarly).once('SIGTERM', endEarly)
  try {
    return await work(config, postgres.url)
  } finally {
    process.off('SIGINT', endEarly).off('SIGTERM', endEarly)
    await postgres.stop()
  }
}

/** Runs `work` over an open database with the newest schema. The schema is never changed on the way. */
export function withContext<T>(
  { env, now }: Surroundings,
  work: (context: Context) => Promise<T>,
): Promise<T> {
  return withDatabase(env, async (config, url) => {
    const db = openDb(url, poolSize)
    try {
      await refuseOldSchema(db)
      return await work({ config, db, now: now(), sealer: () => openSealer(config, db) })
    } finally {
      await db.$disconnect()
    }
  })
}

async function refuseOldSchema(db: Db): Promise<void> {
  const missing = await missingMigrations(db).catch((cause: unknown) => {
    throw new Refusal(`the database cannot be used: ${reasonOf(cause)}`, undefined, cause)
  })
  if (missing.length === 0) return
  throw new Refusal([
    `the database's schema is ${missing.length} migration(s) behind: ${missing.join(', ')}`,
    'run `npm run migrate`, or start the server once',
  ])
}

async function missingMigrations(db: Db): Promise<string[]> {
  const [known] = await db.$queryRaw<[{ exists: boolean }]>`
    SELECT to_regclass('_prisma_migrations') IS NOT NULL AS "exists"`
  const rows = known.exists
    ? await db.$queryRaw<{ name: string }[]>`
        SELECT migration_name AS name FROM _prisma_migrations
        WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL`
    : []
  const applied = new Set(rows.map(({ name }) => name))
  return readMigrations()
    .migrationDirectories.map(({ path }) => path)
    .filter((name) => !applied.has(name))
}

/** The address of a database holds its password, so only what the database or the network said is repeated. */
function reasonOf(error: unknown): string {
  if (isDbUnavailable(error)) return 'it does not answer; check DATABASE_URL and that it runs'
  const said = error instanceof Error ? error.message.trim() : String(error)
  return /Message: `(.+)`/s.exec(said)?.[1] ?? said.split('\n').at(-1) ?? said
}

/**
 * A secret sealed with keys the server does not have would be lost to it, so the keys first prove themselves on what the
 * server has sealed. Where no server ever started, there is nothing to compare with and nothing to lose.
 */
async function openSealer(config: Config, db: Db): Promise<Sealer> {
  const keys = config.SECRET_KEYS.length > 0 ? config : developmentKeys(config.DATA_FOLDER, systemRandom)
  const sealer = createSealer(keys.SECRET_KEYS)
  const kids = (await readKeyFacts(db)).map(({ kid }) => kid)
  await openSigningKeys(db, sealer, kids).catch((cause: unknown) => {
    if (isDbUnavailable(cause)) throw cause
    throw new Refusal(
      'the keys at hand do not open what the server has sealed: give SECRET_KEYS (or DATA_FOLDER) as the server has them',
      undefined,
      cause,
    )
  })
  return sealer
}
