import {
  type Bot,
  hasMenu,
  readBot,
  readEndpoint,
  seesPerson,
  tryWebhook,
} from '../connections/line-messaging/account-facts.ts'
import { ChannelRefused, type MessagingApi } from '../connections/line-messaging/api.ts'
import type { OfficialAccount } from '../connections/line-messaging/official-account.ts'
import { type Check, fail, ok, warn } from './connection-checks.ts'

/** People who were linked by other ways than the talk: that LINE shows them to the account proves one provider. */
const peopleAsked = 5

export interface Surroundings {
  call: MessagingApi
  account: OfficialAccount
  webhookUrl: string
  /** LINE user IDs that LINE Login has given, newest first. */
  people: readonly string[]
}

/** What LINE says of an official account, held against what linking from the talk needs of it. */
export async function checkAccount(around: Surroundings): Promise<Check[]> {
  const bot = await readBot(around.call, around.account).catch((error: unknown) => error)
  if (bot instanceof Error) return [unreachable(bot)]
  return [
    checkBot(around.account, bot as Bot),
    ...(await checkWebhook(around)),
    await checkProvider(around),
    ...(await checkMenus(around)),
  ]
}

/** Why nothing could be asked, and what may be done about it. */
export function unreachable(error: Error): Check {
  if (error instanceof ChannelRefused && error.status < 500)
    return fail(
      'channel',
      'LINE gives no token for this channel ID and secret',
      'copy both anew from the Messaging API channel',
    )
  return fail(
    'channel',
    `LINE does not answer: ${error.message}`,
    'try again; check the way out of this network',
  )
}

function checkBot({ botUserId }: OfficialAccount, { userId, displayName, basicId }: Bot): Check {
  const found = `${displayName} (${basicId})`
  return userId === botUserId
    ? ok('channel', found)
    : fail(
        'channel',
        `${found} is another bot than was set up`,
        'set it up anew: hitotsu connections messaging set',
      )
}

async function checkWebhook({ call, account, webhookUrl }: Surroundings): Promise<Check[]> {
  const known = await readEndpoint(call, account)
  const trial = await tryWebhook(call, account, webhookUrl)
  const advice = `set ${webhookUrl} as the webhook URL, or forward every webhook there, body and x-line-signature as they came`
  return [
    known?.endpoint === webhookUrl
      ? ok('webhook address', webhookUrl)
      : warn('webhook address', known?.endpoint ?? 'LINE was told none', advice),
    known?.active
      ? ok('webhook in use', 'yes')
      : fail(
          'webhook in use',
          'no',
          'turn on "Use webhook" in the LINE Developers Console, and "Webhook redelivery" with it',
        ),
    trial?.success
      ? ok('webhook answer', `${trial.statusCode}`)
      : fail(
          'webhook answer',
          trial ? `${trial.reason} ${trial.statusCode ?? ''}`.trim() : 'LINE did not try',
          'is the server reachable from the internet at ISSUER?',
        ),
  ]
}

/** A push to a person of another provider is refused, and their user ID there is another. */
async function checkProvider({ call, account, people }: Surroundings): Promise<Check> {
  const name = 'one provider'
  for (const userId of people.slice(0, peopleAsked))
    if (await seesPerson(call, account, userId)) return ok(name, 'LINE shows a linked person to the account')
  return people.length > 0
    ? warn(
        name,
        'LINE shows none of the newest linked people to the account',
        'link one account with LINE Login while being a friend of the official account; if this stays, the channels are of two providers and every user ID differs',
      )
    : warn(
        name,
        'not known yet',
        'link one account with LINE Login while being a friend of the official account, and check again',
      )
}

async function checkMenus({ call, account }: Surroundings): Promise<Check[]> {
  const menus = [
    ['menu of the linked', account.linkedRichMenuId],
    ['menu of the others', account.unlinkedRichMenuId],
  ] as const
  const checks: Check[] = []
  for (const [name, richMenuId] of menus) {
    if (!richMenuId) checks.push(ok(name, "the account's own"))
    else if (await hasMenu(call, account, richMenuId)) checks.push(ok(name, richMenuId))
    else checks.push(fail(name, `LINE has no ${richMenuId}`, 'set it up anew with a menu of this channel'))
  }
  return checks
}
