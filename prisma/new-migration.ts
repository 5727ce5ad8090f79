/**
 * Writes the next migration: `npm run migrate:new <name>`. All migrations so far are applied to an empty in-memory
 * PostgreSQL, and what separates it from the schema becomes the SQL of the new one. Needs neither network nor server.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils'
import { SchemaEngine } from '@prisma/schema-engine-wasm'
import { PrismaPGlite } from 'pglite-prisma-adapter'
import { readDatamodels, readMigrations } from '../src/store/migrate.ts'

const name = process.argv[2]
if (!name || !/^[a-z0-9_]+$/.test(name)) {
  console.error('usage: npm run migrate:new <name>, the name in a-z, 0-9 and _')
  process.exit(1)
}

const factory = bindMigrationAwareSqlAdapterFactory(new PrismaPGlite(new PGlite()))
const datamodels = readDatamodels()
const migrations = readMigrations()
const engine = await SchemaEngine.new({ datamodels }, () => {}, factory)
const filters = { externalTables: [], externalEnums: [] }
await engine.applyMigrations({ migrationsList: migrations, filters })

const files = datamodels.map(([path, content]) => ({ path, content }))
const { stdout } = await engine.diff({
  from: { tag: 'schemaDatasource', files, configDir: import.meta.dirname },
  to: { tag: 'schemaDatamodel', files },
  script: true,
  exitCode: null,
  filters,
})
if (!stdout || /^\s*(-- This is an empty migration\.)?\s*$/.test(stdout)) {
  console.log('The schema has no change that the migrations do not have.')
  process.exit(0)
}

const stamp = new Date().toISOString().replace(/\D/g, '').slice(0, 14)
const folder = join(migrations.baseDir, `${stamp}_${name}`)
mkdirSync(folder)
writeFileSync(join(folder, 'migration.sql'), stdout)
console.log(`Wrote ${join(folder, 'migration.sql')}: read it before you commit it.`)
process.exit(0)
