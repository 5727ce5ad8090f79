import { createInterface } from 'node:readline'
import { Client } from 'pg'
import { openEmbeddedPostgres } from '../../src/store/embedded-postgres.ts'

// A process that runs an embedded PostgreSQL, for tests that need two of them or that kill one.
// Says what happened as a line of JSON; ends on the line `stop`, on `exit` without a stop, and when its input ends.
const [folder = '', ...flags] = process.argv.slice(2)
const say = (message: object) => process.stdout.write(`${JSON.stringify(message)}\n`)

try {
  const postgres = await openEmbeddedPostgres({
    folder,
    log: () => undefined,
    share: flags.includes('share'),
    fsync: flags.includes('fsync'),
  })
  process.on('SIGINT', async () => {
    const client = new Client(postgres.url)
    await client.connect()
    await client.query('CREATE TABLE drained ()')
    await client.end()
    await postgres.stop()
    say({ drained: true })
    process.exit()
  })
  const lines = createInterface(process.stdin)
  lines.on('line', (line) => {
    if (line === 'exit') process.exit()
    lines.close()
  })
  lines.on('close', () => postgres.stop().then(() => process.exit()))
  say({ url: postgres.url, owned: postgres.owned, pid: process.pid })
} catch (error) {
  say({ error: error instanceof Error ? error.message : String(error) })
  process.exit(1)
}
