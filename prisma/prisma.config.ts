import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'prisma/config'

// `prisma generate` is WASM, yet refuses to run until its native schema engine is downloaded. Any existing
// file satisfies that check, so generation needs no network; migrations use the WASM engine (src/store/migrate.ts).
process.env.PRISMA_SCHEMA_ENGINE_BINARY ??= existsSync(process.execPath) ? process.execPath : undefined

export default defineConfig({
  schema: fileURLToPath(new URL('schema', import.meta.url)),
})
