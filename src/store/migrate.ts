import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PrismaPg } from '@prisma/adapter-pg'
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils'
import { type MigrationList, SchemaEngine } from '@prisma/schema-engine-wasm'
import { Pool } from 'pg'

const prismaFolder = fileURLToPath(new URL('../../prisma', import.meta.url))

/**
 * Brings a database to the newest schema and returns the names of the migrations it applied. Any number of processes
 * may call it at once: the engine holds an advisory lock, so one applies and the others find nothing to do. It writes
 * what `prisma migrate deploy` expects; it is Prisma's own, as WASM, because its native build is not on npm.
 */
export async function migrate(url: string): Promise<string[]> {
  // The engine never closes its connections, nor lets go of its lock; the pool that lends them does.
  const pool = new Pool({ connectionString: url, max: 1 })
  const factory = bindMigrationAwareSqlAdapterFactory(new PrismaPg(pool))
  const engine = await SchemaEngine.new({ datamodels: readDatamodels() }, () => {}, factory)
  try {
    const filters = { externalTables: [], externalEnums: [] }
    const { appliedMigrationNames } = await engine.applyMigrations({
      migrationsList: readMigrations(),
      filters,
    })
    return appliedMigrationNames
  } finally {
    engine.free()
    await pool.end()
  }
}

/** The Prisma schema's files as the engine takes them: [path, text]. */
export function readDatamodels(): [string, string][] {
  const folder = join(prismaFolder, 'schema')
  return readdirSync(folder).map((file) => [join(folder, file), readFileSync(join(folder, file), 'utf8')])
}

/** The migrations on disk, oldest first. */
export function readMigrations(): MigrationList {
  const baseDir = join(prismaFolder, 'migrations')
  const names = readdirSync(baseDir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort()
  return {
    baseDir,
    lockfile: {
      path: 'migration_lock.toml',
      content: readFileSync(join(baseDir, 'migration_lock.toml'), 'utf8'),
    },
    shadowDbInitScript: '',
    migrationDirectories: names.map((name) => ({
      path: name,
      migrationFile: {
        path: 'migration.sql',
        content: { tag: 'ok', value: readFileSync(join(baseDir, name, 'migration.sql'), 'utf8') },
      },
    })),
  }
}
