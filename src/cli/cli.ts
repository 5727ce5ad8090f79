#!/usr/bin/env -S node --disable-warning=ExperimentalWarning
import { Command, CommanderError } from 'commander'
import { ConfigError } from '../config/config.ts'
import { isDbUnavailable } from '../store/db.ts'
import { migrate } from '../store/migrate.ts'
import { addCampaigns } from './campaigns.ts'
import { addClients } from './clients.ts'
import { addCommand, type Json } from './command.ts'
import { addConflicts } from './conflicts.ts'
import { addConnections } from './connections.ts'
import { addConsents } from './consents.ts'
import { type Surroundings, withDatabase } from './context.ts'
import { addFunnel } from './funnel.ts'
import { addKeys } from './keys.ts'
import { addLinks } from './links.ts'
import { addMembers } from './members.ts'
import { addMerges } from './merges.ts'
import { plain, print } from './output.ts'
import { addPrompts } from './prompts.ts'
import { exitCode, Refusal } from './refusal.ts'
import { addRegistrationTokens } from './registration-tokens.ts'
import { addResources } from './resources.ts'
import { addSecrets } from './secrets.ts'

const about = `
Works on the database of the server, whether it runs or not: DATABASE_URL, or the embedded PostgreSQL
in DATA_FOLDER. Takes the same environment as the server; changes take effect in a running one within a second.

Exit status: 0 done, 1 refused or failed, 2 the command line cannot be understood.

Examples:
  $ hitotsu migrate
  $ hitotsu connections create --help
  $ hitotsu clients list
  $ hitotsu keys list`

function createProgram(surroundings: Surroundings): Command {
  const program = new Command('hitotsu')
    .description(
      'Manages the relying parties, the upstream connections, the APIs and the keys of a Hitotsu server.',
    )
    .addHelpText('after', about)
    .exitOverride()
  addClients(program, surroundings)
  addConnections(program, surroundings)
  addConsents(program, surroundings)
  addMembers(program, surroundings)
  addMerges(program, surroundings)
  addLinks(program, surroundings)
  addCampaigns(program, surroundings)
  addPrompts(program, surroundings)
  addFunnel(program, surroundings)
  addConflicts(program, surroundings)
  addResources(program, surroundings)
  addRegistrationTokens(program, surroundings)
  addKeys(program, surroundings)
  addSecrets(program, surroundings)
  addCommand(program, 'migrate', 'Bring the database to the newest schema and print what was applied.', [
    'hitotsu migrate',
    'DATABASE_URL=postgresql://db.example.com/hitotsu hitotsu migrate --json',
  ]).action(({ json }: Json) => runMigrations(json, surroundings))
  return program
}

function runMigrations(json: boolean | undefined, { env }: Surroundings): Promise<void> {
  return withDatabase(env, async (_config, url) => {
    const applied = await migrate(url).catch((cause: Error) => {
      throw new Refusal(`the migrations were not applied: ${cause.message}`, undefined, cause)
    })
    const text =
      applied.length > 0 ? `Applied:\n${applied.map((name) => `  ${name}`).join('\n')}` : 'Nothing to apply.'
    print(json, { applied }, text)
  })
}

/** Tells people what went wrong, and scripts by the number. Only what nobody foresaw comes with a trace. */
function report(error: unknown): number {
  // What is wrong with the words of a command line, commander has said already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCode.done : exitCode.usage
  if (error instanceof Refusal) {
    const lines = error.faults.flatMap((fault) => fault.split('\n')).filter((line) => line.trim())
    for (const line of lines) console.error(`error: ${plain(line)}`)
    return error.exitCode
  }
  if (error instanceof ConfigError) console.error(`error: ${error.message}`)
  else if (isDbUnavailable(error))
    console.error('error: the database stopped answering; see whether it was done')
  else console.error(error)
  return exitCode.refused
}

async function main(): Promise<void> {
  // Who reads may stop early, as `head` does; what the command holds open is closed all the same.
  process.stdout.on('error', () => {})
  try {
    await createProgram({ env: process.env, now: () => new Date() }).parseAsync()
  } catch (error) {
    process.exitCode = report(error)
  }
  // Everything is closed, but the migration engine leaves a timer of 10 s that nobody should wait for.
  process.stdout.write('', () => process.exit())
}

await main()
