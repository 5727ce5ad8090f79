import { type Command, InvalidArgumentError } from 'commander'
import {
  type Campaign,
  campaignState,
  createCampaign,
  disableCampaign,
  findCampaign,
  listCampaigns,
  newCampaign,
} from '../linking/campaigns/campaign.ts'
import { inTransaction, isUniqueViolation, type Tx } from '../store/db.ts'
import { addCommand, given, type Json, nameOf, nameOptions } from './command.ts'
import { type Surroundings, withContext } from './context.ts'
import { toMoment } from './moment.ts'
import { details, moment, plain, print, table } from './output.ts'
import { faultsByOption, Refusal, wrongUsage } from './refusal.ts'

export function addCampaigns(program: Command, surroundings: Surroundings): void {
  const campaigns = program
    .command('campaigns')
    .description('Rewards for linking: granted once per member and once per upstream account.')
  addCampaignCreate(campaigns, surroundings)
  addCommand(campaigns, 'list', 'List all campaigns, the newest first.', ['hitotsu campaigns list']).action(
    (options: Json) => list(options, surroundings),
  )
  const one = (name: string, description: string, action: typeof show) =>
    addCommand(campaigns, name, description, [`hitotsu campaigns ${name} spring-line`])
      .argument('<id>', 'the campaign')
      .action((id: string, options: Json) => action(id, options, surroundings))
  one('show', 'Show one campaign: what was granted, and what is left.', show)
  one('disable', 'Promise and grant nothing more, for good. What was granted stays.', disable)
}

function addCampaignCreate(campaigns: Command, surroundings: Surroundings): void {
  addCommand(campaigns, 'create', 'Reward the first link of each member and account, for a time.', [
    'hitotsu campaigns create --id spring-line --connection line --name-ja 春の連携キャンペーン \\',
    '    --reward-ja 100ポイント --reward-en "100 points" --amount 100 --unit point \\',
    '    --starts 2027-04-01 --ends 2027-05-01 --budget 10000',
  ])
    .option('--id <id>', 'goes with every reward to the system that pays it out')
    .option('--connection <id>', 'what has to be linked')
    .option('--name-ja <name>', 'the name members see in Japanese (default: --name-en)')
    .option('--name-en <name>', 'the name members see in English (default: --name-ja)')
    .option('--reward-ja <words>', 'what members are told they get, in Japanese (default: --reward-en)')
    .option('--reward-en <words>', 'what members are told they get, in English (default: --reward-ja)')
    .option(
      '--amount <number>',
      'how much of the unit one reward is, for the system that pays it out',
      toNumber,
    )
    .option('--unit <word>', 'what the amount counts, in the words of that system')
    .option(
      '--starts <moment>',
      'the first moment: 2027-04-01 (Japan time) or 2027-04-01T10:00+09:00',
      toMoment,
    )
    .option('--ends <moment>', 'the first moment after it, in the same form', toMoment)
    .option('--budget <number>', 'how many rewards there are (default: as many as come)', toNumber)
    .action((options: CreateOptions) => create(options, surroundings))
}

interface CreateOptions extends Json {
  id?: string
  connection?: string
  nameJa?: string
  nameEn?: string
  rewardJa?: string
  rewardEn?: string
  amount?: number
  unit?: string
  starts?: Date
  ends?: Date
  budget?: number
}

const optionNames = {
  ...nameOptions,
  id: '--id',
  connectionId: '--connection',
  rewardLabel: '--reward-ja or --reward-en',
  'rewardLabel.ja': '--reward-ja',
  'rewardLabel.en': '--reward-en',
  amount: '--amount',
  unit: '--unit',
  startsAt: '--starts',
  endsAt: '--ends',
  budget: '--budget',
}

function toNumber(text: string): number {
  if (/^\d{1,10}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('Give a whole number.')
}

async function create(options: CreateOptions, surroundings: Surroundings): Promise<void> {
  const input = given({
    id: options.id,
    connectionId: options.connection,
    name: nameOf(options),
    rewardLabel: nameOf({
      ...(options.rewardJa !== undefined && { nameJa: options.rewardJa }),
      ...(options.rewardEn !== undefined && { nameEn: options.rewardEn }),
    }),
    amount: options.amount,
    unit: options.unit,
    startsAt: options.starts,
    endsAt: options.ends,
    budget: options.budget,
  })
  const parsed = newCampaign.safeParse(input)
  if (!parsed.success) throw wrongUsage(faultsByOption(parsed.error, input, optionNames))
  await withContext(surroundings, async ({ db, now }) => {
    const { id, connectionId } = parsed.data
    const creation = await inTransaction(db, (tx) => createCampaign(tx, parsed.data, now)).catch(
      (error: unknown) => {
        if (!isUniqueViolation(error)) throw error
        throw new Refusal(`there is a campaign ${id} already`, undefined, error)
      },
    )
    if (creation.outcome === 'no_connection')
      throw new Refusal(`--connection ${plain(connectionId)}: there is no such connection`)
    if (creation.outcome === 'overlaps')
      throw new Refusal(
        `the campaign ${creation.campaignId} of ${connectionId} runs in part of that time; one runs at a time`,
      )
    const view = toView(creation.campaign, now)
    print(options.json, view, [`Stored the campaign ${id}.`, '', details(parts(view))].join('\n'))
  })
}

function list({ json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, now }) => {
    const all = (await listCampaigns(db)).map((campaign) => toView(campaign, now))
    const rows = all.map(({ id, connectionId, rewardLabel, startsAt, endsAt, granted, remaining, state }) => [
      id,
      connectionId,
      rewardLabel.ja,
      moment(startsAt),
      moment(endsAt),
      String(granted),
      remaining === null ? '-' : String(remaining),
      state,
    ])
    const headings = ['id', 'connection', 'reward', 'starts', 'ends', 'granted', 'left', 'state']
    print(json, all, table(headings, rows, 'No campaigns yet. Store one: hitotsu campaigns create --help'))
  })
}

function show(id: string, { json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, now }) => {
    const view = toView(await known(db, id), now)
    print(json, view, details(parts(view)))
  })
}

function disable(id: string, { json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, now }) => {
    const changed = await inTransaction(db, (tx) => disableCampaign(tx, id, now))
    const { disabledAt } = await known(db, id)
    const text = changed
      ? `Disabled the campaign ${plain(id)}. Nothing more is promised or granted.`
      : `The campaign ${plain(id)} was disabled already; nothing changed.`
    print(json, { id, disabledAt, changed }, text)
  })
}

async function known(tx: Tx, id: string): Promise<Campaign> {
  const campaign = await findCampaign(tx, id)
  if (!campaign) throw new Refusal(`there is no campaign ${plain(id)}`)
  return campaign
}

function toView(campaign: Campaign, now: Date) {
  const { updatedAt, ...rest } = campaign
  const remaining = campaign.budget === null ? null : campaign.budget - campaign.granted
  return { ...rest, remaining, state: campaignState(campaign, now) }
}
type CampaignView = ReturnType<typeof toView>

function parts(view: CampaignView): (readonly [string, string | undefined])[] {
  return [
    ['id', view.id],
    ['connection', view.connectionId],
    ['name (ja)', view.name.ja],
    ['name (en)', view.name.en],
    ['reward (ja)', view.rewardLabel.ja],
    ['reward (en)', view.rewardLabel.en],
    ['pays', `${view.amount} ${view.unit}`],
    ['starts', moment(view.startsAt)],
    ['ends', moment(view.endsAt)],
    ['state', view.state],
    ['granted', String(view.granted)],
    ['left', view.remaining === null ? 'as many as come' : String(view.remaining)],
    ['disabled', view.disabledAt ? moment(view.disabledAt) : 'no'],
  ]
}
