import type { Command } from 'commander'
import { localizedName } from '../http/i18n.ts'
import {
  createResource,
  disableResource,
  enableResource,
  newResource,
} from '../oidc/resource-registration.ts'
import { inTransaction, isUniqueViolation, type Tx } from '../store/db.ts'
import type { Resource } from '../store/generated/client.ts'
import { addCommand, collectedWords, given, type Json, nameOf, nameOptions } from './command.ts'
import { type Surroundings, withContext } from './context.ts'
import { details, moment, plain, print, table } from './output.ts'
import { faultsByOption, Refusal, wrongUsage } from './refusal.ts'

export function addResources(program: Command, surroundings: Surroundings): void {
  const resources = program.command('resources').description('APIs that access tokens are made for.')
  addCommand(resources, 'create', 'Register an API and the scopes it understands.', [
    'hitotsu resources create --id https://api.example.com --name-ja 注文API --name-en "Orders API" \\',
    '    --scope "orders:read orders:write"',
    'hitotsu resources create --id https://stock.example.com --name-en Stock --scope stock:read \\',
    '    --format opaque --ttl 3600 --introspector stock-api',
    'hitotsu clients create --id batch --name-en Batch --profile machine --resource https://api.example.com',
  ])
    .option('--id <uri>', 'its resource indicator, and the aud of its tokens: an https URL or a urn')
    .option('--name-ja <name>', 'the name members see in Japanese (default: --name-en)')
    .option('--name-en <name>', 'the name members see in English (default: --name-ja)')
    .option('--scope <scope>', 'what it understands; repeatable', collectedWords)
    .option(
      '--format <format>',
      'jwt (default): it verifies tokens itself; opaque: it asks here, and what was revoked is over at once',
    )
    .option('--ttl <seconds>', 'how long its tokens live (default: 600, which is the most for a JWT)')
    .option('--introspector <client>', 'the client that its server introspects opaque tokens as')
    .action((options: ResourceOptions) => create(options, surroundings))
  addCommand(resources, 'list', 'List all APIs.', ['hitotsu resources list']).action((options: Json) =>
    list(options, surroundings),
  )
  const one = (name: string, description: string, action: typeof show) =>
    addCommand(resources, name, description, [`hitotsu resources ${name} https://api.example.com`])
      .argument('<id>', 'its resource indicator')
      .action((id: string, options: Json) => action(id, options, surroundings))
  one('show', 'Show one API.', show)
  one(
    'disable',
    'Give nobody tokens for it from now on. A JWT it has accepted lives on for 10 minutes at most.',
    disable,
  )
  one('enable', 'Give tokens for it again.', enable)
}

interface ResourceOptions extends Json {
  id?: string
  nameJa?: string
  nameEn?: string
  scope?: string[]
  format?: string
  ttl?: string
  introspector?: string
}

const optionNames = {
  ...nameOptions,
  id: '--id',
  scopes: '--scope',
  tokenFormat: '--format',
  tokenTtl: '--ttl',
  introspectorId: '--introspector',
}

async function create(options: ResourceOptions, surroundings: Surroundings): Promise<void> {
  const input = given({
    id: options.id,
    name: nameOf(options),
    scopes: options.scope,
    tokenFormat: options.format,
    tokenTtl: options.ttl === undefined ? undefined : Number(options.ttl),
    introspectorId: options.introspector,
  })
  const parsed = newResource.safeParse(input)
  if (!parsed.success) throw wrongUsage(faultsByOption(parsed.error, input, optionNames))
  await withContext(surroundings, async ({ db, now }) => {
    const { id, introspectorId } = parsed.data
    const row = await inTransaction(db, async (tx) => {
      if (introspectorId !== undefined && !(await tx.client.findUnique({ where: { id: introspectorId } })))
        throw new Refusal(`--introspector ${introspectorId}: there is no such client`)
      return createResource(tx, parsed.data, now)
    }).catch((error: unknown) => {
      if (!isUniqueViolation(error)) throw error
      throw new Refusal(`there is a resource ${id} already`, undefined, error)
    })
    const view = toView(row)
    const lines = [
      `Registered the resource ${id}.`,
      '',
      details(parts(view)),
      '',
      `Clients get tokens for it once they are registered for it: hitotsu clients create --resource ${id}`,
    ]
    print(options.json, view, lines.join('\n'))
  })
}

function list({ json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db }) => {
    const all = (await db.resource.findMany({ orderBy: { createdAt: 'asc' } })).map(toView)
    const rows = all.map(({ id, name, scopes, tokenFormat, tokenTtl, disabledAt }) => [
      id,
      name.ja,
      name.en,
      scopes.join(' '),
      `${tokenFormat}, ${tokenTtl} s`,
      disabledAt ? `disabled ${moment(disabledAt)}` : 'active',
    ])
    const headings = ['id', 'name (ja)', 'name (en)', 'scopes', 'tokens', 'state']
    print(json, all, table(headings, rows, 'No resources yet. Register one: hitotsu resources create --help'))
  })
}

function show(id: string, { json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db }) => {
    const view = await find(db, id)
    print(json, view, details(parts(view)))
  })
}

function disable(id: string, { json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, now }) => {
    const changed = await inTransaction(db, (tx) => disableResource(tx, id, now))
    const { disabledAt } = await find(db, id)
    const text = changed
      ? `Disabled the resource ${plain(id)}. There are no new tokens for it, and introspection knows none.`
      : `The resource ${plain(id)} was disabled already; nothing changed.`
    print(json, { id, disabledAt, changed }, text)
  })
}

function enable(id: string, { json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, now }) => {
    const changed = await inTransaction(db, (tx) => enableResource(tx, id, now))
    await find(db, id)
    const text = changed
      ? `Enabled the resource ${plain(id)}.`
      : `The resource ${plain(id)} was not disabled; nothing changed.`
    print(json, { id, disabledAt: null, changed }, text)
  })
}

type ResourceView = ReturnType<typeof toView>

async function find(tx: Tx, id: string): Promise<ResourceView> {
  const row = await tx.resource.findUnique({ where: { id } })
  if (!row) throw new Refusal(`there is no resource ${plain(id)}`)
  return toView(row)
}

function toView({
  id,
  name,
  scopes,
  tokenFormat,
  tokenTtl,
  introspectorId,
  createdAt,
  disabledAt,
}: Resource) {
  return {
    id,
    name: localizedName.parse(name),
    scopes,
    tokenFormat,
    tokenTtl,
    introspectorId,
    createdAt,
    disabledAt,
  }
}

function parts(view: ResourceView): (readonly [string, string | undefined])[] {
  return [
    ['id', view.id],
    ['name (ja)', view.name.ja],
    ['name (en)', view.name.en],
    ['scopes', view.scopes.join(' ')],
    ['tokens', `${view.tokenFormat}, ${view.tokenTtl} seconds`],
    ['introspector', view.introspectorId ?? undefined],
    ['registered', moment(view.createdAt)],
    ['disabled', view.disabledAt ? moment(view.disabledAt) : 'no'],
  ]
}
