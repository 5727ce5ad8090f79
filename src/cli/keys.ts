import { type Command, Option } from 'commander'
import {
  type Algorithm,
  algorithms,
  keySetMaxAgeSeconds,
  leastPublishAheadSeconds,
} from '../oidc/keys/plan.ts'
import { type Removal, removeSigningKey, rotateSigningKey } from '../oidc/keys/rotate.ts'
import { systemRandom } from '../security/random.ts'
import { addCommand, type Json } from './command.ts'
import { type Surroundings, withContext } from './context.ts'
import { secondsUpTo } from './duration.ts'
import { type KeyView, listKeys, stateText } from './key-view.ts'
import { moment, plain, print, table } from './output.ts'
import { Refusal, wrongUsage } from './refusal.ts'

export function addKeys(program: Command, surroundings: Surroundings): void {
  const keys = program.command('keys').description('The keys that tokens are signed with.')
  addCommand(keys, 'list', 'List the keys that are published, and which of them sign.', [
    'hitotsu keys list',
    'hitotsu keys list --all --json',
  ])
    .option('--all', 'also those that are destroyed')
    .action((options: ListOptions) => list(options, surroundings))
  addRotate(keys, surroundings)
  addCommand(keys, 'retire', 'Let a key sign no more. What it signed still verifies for KEY_RETIRED_DAYS.', [
    'hitotsu keys retire 5mYzFh0vBq2sGd1K',
  ])
    .argument('<kid>', 'the key')
    .action((kid: string, options: Json) => remove(kid, 'retire', options, surroundings))
  addCommand(keys, 'destroy', 'End a key at once: what it signed verifies no longer. It cannot be undone.', [
    'hitotsu keys destroy 5mYzFh0vBq2sGd1K',
  ])
    .argument('<kid>', 'the key')
    .action((kid: string, options: Json) => remove(kid, 'destroy', options, surroundings))
}

function addRotate(keys: Command, surroundings: Surroundings): void {
  addCommand(
    keys,
    'rotate',
    `Make new keys: published at once, signing when relying parties have fetched them.`,
    [
      'hitotsu keys rotate',
      'hitotsu keys rotate --alg ES256 --activate-in 1h',
      'hitotsu keys rotate --now && hitotsu keys destroy <kid>   # a key leaked',
    ],
  )
    .addOption(new Option('--alg <alg>', 'only the key of this algorithm').choices(algorithms))
    .option(
      '--activate-in <time>',
      `when it starts to sign: seconds, or 15m, 24h, 7d (default: ${leastPublishAheadSeconds / 60}m)`,
      secondsUpTo(maxDelayDays),
    )
    .option('--now', 'sign with it at once, in an emergency: copies of the key set may not have it yet')
    .action((options: RotateOptions) => rotate(options, surroundings))
}

const maxDelayDays = 90

interface ListOptions extends Json {
  all?: boolean
}

interface RotateOptions extends Json {
  alg?: Algorithm
  activateIn?: number
  now?: boolean
}

function list({ all, json }: ListOptions, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ config, db, now }) => {
    const keys = (await listKeys(db, now)).filter(({ state }) => all || state !== 'destroyed')
    const rows = keys.map((key) => [
      key.kid,
      key.alg,
      stateText(key, config.KEY_RETIRED_DAYS),
      moment(key.createdAt),
      moment(key.activeFrom),
    ])
    const headings = ['kid', 'algorithm', 'state', 'made', 'signs from']
    print(json, keys, table(headings, rows, 'No keys yet: the first start of the server makes them.'))
  })
}

function rotate({ alg, activateIn, now: atOnce, json }: RotateOptions, surroundings: Surroundings) {
  if (atOnce && activateIn !== undefined) throw wrongUsage(['--now and --activate-in exclude each other'])
  return withContext(surroundings, async ({ db, now, sealer }) => {
    const delaySeconds = atOnce ? 0 : (activateIn ?? leastPublishAheadSeconds)
    const activeFrom = new Date(now.getTime() + delaySeconds * 1000)
    const making = { db, random: systemRandom, sealer: await sealer() }
    const kids = new Set<string | undefined>()
    for (const one of alg ? [alg] : algorithms) kids.add(await rotateSigningKey(making, one, activeFrom, now))
    const made = (await listKeys(db, now)).filter(({ kid }) => kids.has(kid))
    if (kids.has(undefined))
      throw new Refusal('somebody else is rotating at this moment; see `hitotsu keys list`, then try again')
    print(json, made, rotatedText(made, activeFrom, delaySeconds))
  })
}

function rotatedText(made: readonly KeyView[], activeFrom: Date, delaySeconds: number): string {
  const rows = made.map(({ alg, kid }) => [alg, kid])
  const minutes = keySetMaxAgeSeconds / 60
  const when = delaySeconds > 0 ? `They sign from ${moment(activeFrom)} on.` : 'They sign from now on.'
  const warning = `Relying parties keep the key set for up to ${minutes} minutes: until they fetch it again, some may refuse what is signed.`
  return [
    table(['algorithm', 'kid'], rows, ''),
    '',
    `Published at every process within a second. ${when}`,
    ...(delaySeconds < leastPublishAheadSeconds ? [warning] : []),
  ].join('\n')
}

function remove(kid: string, removal: Removal, { json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ config, db, now }) => {
    const outcome = await removeSigningKey(db, kid, removal, now)
    const key = (await listKeys(db, now)).find((candidate) => candidate.kid === kid)
    if (outcome === 'unknown' || !key) throw new Refusal(`there is no signing key ${plain(kid)}`)
    if (outcome === 'needed')
      throw new Refusal([
        `${plain(kid)} is the only key that signs ${key.alg}`,
        `make another first: hitotsu keys rotate --alg ${key.alg}, with --now in an emergency`,
      ])
    const text =
      outcome === 'done'
        ? `The signing key ${plain(kid)} is now ${stateText(key, config.KEY_RETIRED_DAYS)}.`
        : `The signing key ${plain(kid)} was ${stateText(key, config.KEY_RETIRED_DAYS)} already; nothing changed.`
    print(json, { ...key, changed: outcome === 'done' }, text)
  })
}
