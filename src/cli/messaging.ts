import type { Command } from 'commander'
import { findConnection } from '../connections/connection.ts'
import { readBot, setEndpoint } from '../connections/line-messaging/account-facts.ts'
import { type MessagingApi, messagingApi } from '../connections/line-messaging/api.ts'
import {
  channelSecretContext,
  defaultLinkWords,
  findOfficialAccount,
  newOfficialAccount,
  type OfficialAccount,
  removeOfficialAccount,
  setOfficialAccount,
  webhookUrlOf,
} from '../connections/line-messaging/official-account.ts'
import { createOutbound } from '../http/outbound.ts'
import { inTransaction, isUniqueViolation } from '../store/db.ts'
import { addCommand, collected, given, type Json, readText } from './command.ts'
import { type Context, type Surroundings, withContext } from './context.ts'
import { checkAccount, unreachable } from './messaging-checks.ts'
import { details, moment, plain, print, table } from './output.ts'
import { exitCode, faultsByOption, Refusal, wrongUsage } from './refusal.ts'

interface SetOptions extends Json {
  channelId?: string
  channelSecretFile?: string
  linkedMenu?: string
  unlinkedMenu?: string
  linkWord?: string[]
  registerWebhook?: boolean
}

const options = {
  channelId: '--channel-id',
  channelSecret: 'the channel secret',
  linkedRichMenuId: '--linked-menu',
  unlinkedRichMenuId: '--unlinked-menu',
  linkWords: '--link-word',
}

export function addMessaging(connections: Command, surroundings: Surroundings): void {
  const messaging = connections
    .command('messaging')
    .description('The LINE official account of a LINE connection: linking from its talk, menus, messages.')
  addCommand(messaging, 'set', 'Store the Messaging API channel and print the webhook URL to set at LINE.', [
    'hitotsu connections messaging set line --channel-id 1234567891 --channel-secret-file ./bot-secret \\',
    '    --linked-menu richmenu-0123… --unlinked-menu richmenu-4567… --register-webhook',
  ])
    .argument('<connection>', 'the LINE connection; both channels are of one LINE provider')
    .option('--channel-id <id>', 'of the Messaging API channel')
    .option('--channel-secret-file <path>', 'the file its secret is in, - for standard input')
    .option('--linked-menu <id>', 'the rich menu of those who are linked')
    .option('--unlinked-menu <id>', "the rich menu of the others (default: the account's own)")
    .option(
      '--link-word <word>',
      `what is written in the talk, or posted back by a button, to be sent the link; repeatable (default: ${defaultLinkWords.join(', ')})`,
      collected,
    )
    .option('--register-webhook', 'set the webhook URL at LINE, in the place of any other')
    .action((id: string, chosen: SetOptions) => set(id, chosen, surroundings))
  addCommand(messaging, 'show', 'Show it. Its secret cannot be shown.', [
    'hitotsu connections messaging show line',
  ])
    .argument('<connection>', 'the LINE connection')
    .action((id: string, { json }: Json) => show(id, json, surroundings))
  addCommand(messaging, 'check', 'Ask LINE what would stand in the way of linking from the talk.', [
    'hitotsu connections messaging check line',
  ])
    .argument('<connection>', 'the LINE connection')
    .action((id: string, { json }: Json) => check(id, json, surroundings))
  addCommand(messaging, 'remove', 'Forget it: nobody links from the talk any more. What is linked stays.', [
    'hitotsu connections messaging remove line',
  ])
    .argument('<connection>', 'the LINE connection')
    .action((id: string, { json }: Json) => remove(id, json, surroundings))
}

function set(connectionId: string, chosen: SetOptions, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async (context) => {
    const { db, now } = context
    const connection = await findConnection(db, connectionId)
    if (!connection) throw new Refusal(`there is no connection ${plain(connectionId)}`)
    if (connection.kind !== 'line') throw new Refusal(`${plain(connectionId)} is no LINE connection`)
    const sealer = await context.sealer()
    const input = await readInput(connectionId, chosen)
    const webhookUrl = webhookUrlOf(context.config.ISSUER, connectionId)
    const caller = {
      ...{ connectionId, issuer: connection.issuer, channelId: input.channelId, updatedAt: now },
      sealedSecret: sealer.seal(input.channelSecret, channelSecretContext(connectionId)),
    }
    const bot = await withApi(context, async (call) => {
      const found = await readBot(call, caller)
      if (chosen.registerWebhook && !(await setEndpoint(call, caller, webhookUrl)))
        throw new Refusal(`LINE does not take ${webhookUrl}: it has to be https, and short enough`)
      return found
    })
    const account = { ...input, botUserId: bot.userId }
    await inTransaction(db, (tx) => setOfficialAccount(tx, sealer, account, now)).catch((error: unknown) => {
      if (!isUniqueViolation(error)) throw error
      throw new Refusal('another connection has this official account', undefined, error)
    })
    const lines = [
      `Stored the official account ${plain(bot.displayName)} (${plain(bot.basicId)}) of ${connectionId}.`,
      '',
      chosen.registerWebhook
        ? 'Set at LINE as the webhook URL:'
        : 'Set this webhook URL at LINE, exactly as it stands:',
      `  ${webhookUrl}`,
      'In the LINE Developers Console, turn on "Use webhook" and "Webhook redelivery".',
      `Then try it: hitotsu connections messaging check ${connectionId}`,
    ]
    print(
      chosen.json,
      { connectionId, botUserId: bot.userId, basicId: bot.basicId, webhookUrl },
      lines.join('\n'),
    )
  })
}

async function readInput(connectionId: string, chosen: SetOptions) {
  const { channelSecretFile, linkedMenu, unlinkedMenu, linkWord, channelId } = chosen
  if (!channelSecretFile) throw wrongUsage(['--channel-secret-file is required'])
  const channelSecret = await readText(channelSecretFile).catch((error: Error) => {
    throw wrongUsage([`--channel-secret-file ${channelSecretFile}: ${error.message}`])
  })
  const input = given({
    ...{ connectionId, channelId, channelSecret: channelSecret.trim() },
    ...{ linkedRichMenuId: linkedMenu, unlinkedRichMenuId: unlinkedMenu, linkWords: linkWord },
  })
  const parsed = newOfficialAccount.omit({ botUserId: true }).safeParse(input)
  if (!parsed.success) throw wrongUsage(faultsByOption(parsed.error, input, options))
  return parsed.data
}

function show(connectionId: string, json: boolean | undefined, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, config }) => {
    const account = await getAccount(db, connectionId)
    const { channelId, botUserId, linkedRichMenuId, unlinkedRichMenuId, linkWords, updatedAt } = account
    const webhookUrl = webhookUrlOf(config.ISSUER, connectionId)
    const view = {
      connectionId,
      channelId,
      botUserId,
      webhookUrl,
      linkedRichMenuId,
      unlinkedRichMenuId,
      linkWords,
      updatedAt,
    }
    const parts = [
      ['connection', connectionId],
      ['channel', channelId],
      ['bot', botUserId],
      ['webhook URL', webhookUrl],
      ['menu of the linked', linkedRichMenuId ?? "the account's own"],
      ['menu of the others', unlinkedRichMenuId ?? "the account's own"],
      ['link words', linkWords],
      ['set up', moment(updatedAt)],
    ] as const
    print(json, view, details(parts))
  })
}

function check(connectionId: string, json: boolean | undefined, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async (context) => {
    const { db, config } = context
    const account = await getAccount(db, connectionId)
    const linked = await db.federatedIdentity.findMany({
      // Who was linked from the talk is known to the account by that alone.
      where: { connectionId, way: { not: 'line_message' } },
      orderBy: { linkedAt: 'desc' },
      select: { subject: true },
      take: 5,
    })
    const people = linked.map(({ subject }) => subject)
    const webhookUrl = webhookUrlOf(config.ISSUER, connectionId)
    const checks = await withApi(context, (call) => checkAccount({ call, account, webhookUrl, people }))
    const passed = checks.every(({ outcome }) => outcome !== 'fail')
    const rows = checks.map(({ outcome, name, found }) => [outcome, name, found])
    const lines = [
      table(['outcome', 'check', 'found'], rows, ''),
      ...checks.flatMap(({ name, advice }) => (advice ? [`  ${name}: ${plain(advice)}`] : [])),
      '',
      passed ? 'Nothing stands in the way.' : 'Nobody can link from the talk until what failed is put right.',
    ]
    print(json, { connectionId, passed, webhookUrl, checks }, lines.join('\n'))
    if (!passed) process.exitCode = exitCode.refused
  })
}

function remove(connectionId: string, json: boolean | undefined, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, now }) => {
    const removed = await inTransaction(db, (tx) => removeOfficialAccount(tx, connectionId, now))
    if (!removed) throw new Refusal(`${plain(connectionId)} has no official account`)
    print(
      json,
      { connectionId, removed },
      `Forgot the official account of ${plain(connectionId)}. What is linked stays; take its webhook URL away at LINE.`,
    )
  })
}

async function getAccount(db: Context['db'], connectionId: string): Promise<OfficialAccount> {
  const account = await findOfficialAccount(db, connectionId)
  if (account) return account
  throw new Refusal(
    `${plain(connectionId)} has no official account; set it up: hitotsu connections messaging set --help`,
  )
}

/** Talks to LINE as the server does, and says in words why it could not. */
async function withApi<T>({ config, sealer }: Context, work: (call: MessagingApi) => Promise<T>): Promise<T> {
  const fetch = createOutbound(config.OUTBOUND_PRIVATE_HOSTS)
  try {
    return await work(messagingApi({ sealer: await sealer(), fetch, now: () => new Date(0) }))
  } catch (error) {
    if (!(error instanceof Error) || error instanceof Refusal) throw error
    const { found, advice = '' } = unreachable(error)
    throw new Refusal([found, advice], undefined, error)
  } finally {
    await fetch.close()
  }
}
