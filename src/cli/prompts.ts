import { type Command, InvalidArgumentError, Option } from 'commander'
import { findConnection } from '../connections/connection.ts'
import type { Connection } from '../connections/settings.ts'
import { findPlace } from '../linking/prompts/place.ts'
import { changePrompts } from '../linking/prompts/settings.ts'
import { Problem } from '../problem.ts'
import { inTransaction, type Tx } from '../store/db.ts'
import { addCommand, type Json } from './command.ts'
import { type Surroundings, withContext } from './context.ts'
import { details, plain, print } from './output.ts'
import { Refusal } from './refusal.ts'

export function addPrompts(program: Command, surroundings: Surroundings): void {
  const prompts = program
    .command('prompts')
    .description('Asking members to link: after they sign in, and on the pages of relying parties.')
  addCommand(prompts, 'set', 'Say whether and how often members are asked to link a connection.', [
    'hitotsu prompts set line --after-sign-in on',
    'hitotsu prompts set line --every-days 14',
  ])
    .argument('<connection>', 'the connection')
    .addOption(
      new Option(
        '--after-sign-in <on|off>',
        'ask those who sign in to a client that may see its links (default for a new connection: off)',
      ).choices(['on', 'off']),
    )
    .option('--every-days <number>', 'ask a member again after so many days at the earliest', toDays)
    .action((id: string, options: SetOptions) => set(id, options, surroundings))
  addCommand(prompts, 'show', 'Show how members are asked, and what a relying party puts on its pages.', [
    'hitotsu prompts show line',
    'hitotsu prompts show line --client shop',
  ])
    .argument('<connection>', 'the connection')
    .option('--client <id>', 'print the script tag and the address for this client')
    .action((id: string, options: ShowOptions) => show(id, options, surroundings))
}

interface SetOptions extends Json {
  afterSignIn?: 'on' | 'off'
  everyDays?: number
}

interface ShowOptions extends Json {
  client?: string
}

function toDays(text: string): number {
  const days = /^\d{1,3}$/.test(text) ? Number(text) : 0
  if (days >= 1 && days <= 365) return days
  throw new InvalidArgumentError('Give a number of days from 1 to 365.')
}

function set(id: string, { json, afterSignIn, everyDays }: SetOptions, surroundings: Surroundings) {
  return withContext(surroundings, async ({ db, now }) => {
    await known(db, id)
    const change = {
      ...(afterSignIn && { promptAfterSignIn: afterSignIn === 'on' }),
      ...(everyDays !== undefined && { promptEveryDays: everyDays }),
    }
    const changed = await inTransaction(db, (tx) => changePrompts(tx, id, change, now))
    const view = toView(await known(db, id))
    const text = changed ? `Changed how members are asked to link ${id}.` : 'Nothing changed.'
    print(json, { ...view, changed }, [text, '', details(parts(view))].join('\n'))
  })
}

function show(id: string, { json, client }: ShowOptions, surroundings: Surroundings) {
  return withContext(surroundings, async ({ config, db }) => {
    const view = toView(await known(db, id))
    const tags = client === undefined ? undefined : await tagsOf(db, config.ISSUER, id, client)
    const lines = tags
      ? [
          '',
          'On a page of the client (data-linked: the connections of its linked_accounts):',
          `  ${tags.script}`,
          'Or as a link, which works without scripts:',
          `  ${tags.url}`,
        ]
      : []
    print(json, { ...view, ...tags }, [details(parts(view)), ...lines].join('\n'))
  })
}

async function tagsOf(db: Tx, issuer: string, connectionId: string, clientId: string) {
  await findPlace(db, { clientId, connectionId }).catch((cause: unknown) => {
    if (!(cause instanceof Problem)) throw cause
    const reason =
      cause.code === 'client_unavailable'
        ? 'there is no such client, or it is disabled'
        : `it may not see links of ${connectionId}, or that is disabled`
    throw new Refusal(`--client ${plain(clientId)}: ${reason}`, undefined, cause)
  })
  const query = new URLSearchParams({ client: clientId, connection: connectionId })
  const source = `${issuer}/link-prompt.js?${query}`.replaceAll('&', '&amp;')
  return {
    script: `<script src="${source}" data-linked="" async></script>`,
    url: `${issuer}/prompt?${query}`,
  }
}

async function known(db: Tx, id: string): Promise<Connection> {
  const connection = await findConnection(db, id)
  if (!connection) throw new Refusal(`there is no connection ${plain(id)}`)
  return connection
}

const toView = ({ id, promptAfterSignIn, promptEveryDays }: Connection) => ({
  id,
  promptAfterSignIn,
  promptEveryDays,
})

function parts(view: ReturnType<typeof toView>): (readonly [string, string])[] {
  return [
    ['connection', view.id],
    ['after sign-in', view.promptAfterSignIn ? 'members are asked' : 'members are not asked'],
    ['asked again', `after ${view.promptEveryDays} days at the earliest`],
  ]
}
