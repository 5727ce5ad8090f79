import { ConfigError } from '../config/config.ts'
import { toldToEnd } from '../main.ts'
import { demoMember } from './seed.ts'
import { demoEmails, demoPassword } from './store/accounts.ts'
import { type DemoWorld, startDemo } from './world.ts'

const welcome = ({ hitotsu, line, store, inbox }: DemoWorld) => `
  Hitotsu is running.

    Hitotsu          ${hitotsu.url}
    Demo Store       ${store.url}    a shop that signs its members in with Hitotsu, and has accounts of its own
    LINE simulator   ${line.url}    on each phone, the talk with the official account
    Mail inbox       ${inbox.url}    what was sent

    Member           ${demoMember.email}
    Password         ${demoMember.password}

  Start at ${hitotsu.url}/account, sign in, and press "link" beside LINE and beside the Demo Store.
  (The store's own account: ${demoEmails[0]} with the password ${demoPassword}.)
  Then open ${store.url}, sign in with the member ID, and look at My page: the store sees both links.

  Or link from LINE: at ${line.url}/phone choose a person, add the account as a friend, and press the button that comes.

  Ctrl-C stops everything. What you do is kept in the data folder.
`

async function main(): Promise<void> {
  const starting = startDemo({ port: Number(process.env.PORT ?? 3000), env: process.env })
  // Also while it starts: what is open by then is closed again, and nothing stays behind.
  const stop = async () => {
    const world = await starting.catch(() => undefined)
    await world?.stop()
    process.exit(0)
  }
  toldToEnd().addEventListener('abort', stop)
  try {
    console.log(welcome(await starting))
  } catch (error) {
    console.error(explain(error))
    process.exitCode = 1
  }
}

function explain(error: unknown): unknown {
  if (error instanceof ConfigError) return error.message
  if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE' && 'port' in error) {
    return `Port ${error.port} is in use. Stop what is using it, or choose others: PORT=4000 npm run demo`
  }
  return error
}

await main()
