import { type Command, InvalidArgumentError } from 'commander'
import { z } from 'zod'
import { type ClientProfile, clientProfiles } from '../oidc/clients/profile.ts'
import {
  createRegistrationToken,
  listRegistrationTokens,
  type RegistrationTokenView,
  revokeRegistrationToken,
} from '../oidc/clients/registration-token.ts'
import { scopeClaims } from '../oidc/scope-claims.ts'
import { systemRandom } from '../security/random.ts'
import { inTransaction, isUniqueViolation } from '../store/db.ts'
import { addCommand, collectedWords, type Json } from './command.ts'
import { type Surroundings, withContext } from './context.ts'
import { secondsUpTo } from './duration.ts'
import { details, moment, plain, print, table } from './output.ts'
import { faultsByOption, Refusal, wrongUsage } from './refusal.ts'

const maxDays = 365
const defaultSeconds = 30 * 86_400
const defaultProfiles: readonly ClientProfile[] = ['web', 'spa', 'native']
/** Linked accounts are shown to clients that an administrator allowed a connection: nobody registers for them. */
const registrableScopes = ['openid', 'offline_access', ...Object.keys(scopeClaims)].filter(
  (scope) => scope !== 'linked_accounts',
)

export function addRegistrationTokens(program: Command, surroundings: Surroundings): void {
  const tokens = program
    .command('registration-tokens')
    .description('Initial access tokens: with one, a relying party registers itself (RFC 7591).')
  addCreate(tokens, surroundings)
  addCommand(tokens, 'list', 'List the tokens that were not revoked. They cannot be shown themselves.', [
    'hitotsu registration-tokens list',
  ]).action((options: Json) => list(options, surroundings))
  addCommand(tokens, 'revoke', 'End a token at once. The clients it let in stay.', [
    'hitotsu registration-tokens revoke partner',
  ])
    .argument('<label>', 'what it is called')
    .action((label: string, options: Json) => revoke(label, options, surroundings))
}

interface CreateOptions extends Json {
  label: string
  expiresIn?: number
  profile?: string[]
  scope?: string[]
  allowNoPkce?: boolean
  maxUses?: number
}

function addCreate(tokens: Command, surroundings: Surroundings): void {
  addCommand(tokens, 'create', 'Make a token and print it, once.', [
    'hitotsu registration-tokens create --label partner --max-uses 1',
    'hitotsu registration-tokens create --label conformance --expires-in 7d --profile web --allow-no-pkce',
  ])
    .requiredOption('--label <label>', 'what it is called: lower-case letters, digits, dots, hyphens')
    .option(
      '--expires-in <time>',
      'how long it lets clients in: seconds, or 30m, 24h, 7d (default: 30d)',
      secondsUpTo(maxDays),
    )
    .option(
      '--profile <profile>',
      `what its clients may be; repeatable (default: ${defaultProfiles.join(' ')})`,
      collectedWords,
    )
    .option(
      '--scope <scope>',
      `what its clients may ask for; repeatable (default: ${registrableScopes.join(' ')})`,
      collectedWords,
    )
    .option('--allow-no-pkce', 'let web clients go without PKCE: for libraries older than it')
    .option('--max-uses <number>', 'how many clients it lets in (default: any number)', toCount)
    .action((options: CreateOptions) => create(options, surroundings))
}

function toCount(text: string): number {
  const count = Number(text)
  if (/^\d+$/.test(text) && count >= 1 && count <= 1_000_000) return count
  throw new InvalidArgumentError('Give a number from 1 to 1000000.')
}

const input = z.object({
  label: z
    .string()
    .regex(/^[a-z0-9][a-z0-9.-]{0,62}$/, 'lower-case letters, digits, dots and hyphens, at most 63'),
  expiresIn: z.number().min(1, 'must be longer').default(defaultSeconds),
  profile: z
    .array(z.enum(clientProfiles))
    .min(1)
    .default([...defaultProfiles]),
  scope: z.array(z.enum(registrableScopes)).min(1).default(registrableScopes),
})

async function create(options: CreateOptions, surroundings: Surroundings): Promise<void> {
  const parsed = input.safeParse(options)
  if (!parsed.success) throw wrongUsage(faultsByOption(parsed.error, options, optionNames))
  const { label, expiresIn, profile, scope } = parsed.data
  const rules = {
    profiles: [...new Set(profile)],
    scopes: [...new Set(scope)],
    allowNoPkce: options.allowNoPkce ?? false,
  }
  await withContext(surroundings, async ({ config, db, now }) => {
    const expiresAt = new Date(now.getTime() + expiresIn * 1000)
    const { maxUses } = options
    const made = { label, ...rules, maxUses, expiresAt }
    const token = await inTransaction(db, (tx) => createRegistrationToken(tx, systemRandom, made, now)).catch(
      (error: unknown) => {
        if (!isUniqueViolation(error)) throw error
        throw new Refusal(`there is a registration token ${label} already`, undefined, error)
      },
    )
    const view = { ...made, maxUses: maxUses ?? null, uses: 0, createdAt: now }
    const lines = [details([...parts(view), ['token', token]]), '', notice(config.ISSUER)]
    print(options.json, { ...view, token }, lines.join('\n'))
  })
}

const optionNames = {
  label: '--label',
  expiresIn: '--expires-in',
  profile: '--profile',
  scope: '--scope',
}

const notice = (issuer: string) =>
  `It will not be shown again. A client sends it as a bearer token to ${issuer}/register.`

function parts(view: RegistrationTokenView): (readonly [string, string])[] {
  return [
    ['label', view.label],
    ['profiles', view.profiles.join(' ')],
    ['scopes', view.scopes.join(' ')],
    ['PKCE', view.allowNoPkce ? 'optional for web clients' : 'required'],
    ['clients', view.maxUses === null ? 'any number' : `at most ${view.maxUses}`],
    ['expires', view.expiresAt ? moment(view.expiresAt) : 'never'],
  ]
}

function list({ json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, now }) => {
    const all = await listRegistrationTokens(db)
    const rows = all.map((view) => [
      view.label,
      view.profiles.join(' '),
      view.allowNoPkce ? 'optional' : 'required',
      `${view.uses} of ${view.maxUses ?? 'any number'}`,
      state(view, now),
    ])
    const headings = ['label', 'profiles', 'PKCE', 'clients', 'state']
    const whenEmpty = 'No registration tokens. Make one: hitotsu registration-tokens create --help'
    print(json, all, table(headings, rows, whenEmpty))
  })
}

function state({ expiresAt, uses, maxUses }: RegistrationTokenView, now: Date): string {
  if (expiresAt && expiresAt <= now) return `expired ${moment(expiresAt)}`
  if (maxUses !== null && uses >= maxUses) return 'used up'
  return expiresAt ? `until ${moment(expiresAt)}` : 'active'
}

function revoke(label: string, { json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, now }) => {
    if (!(await inTransaction(db, (tx) => revokeRegistrationToken(tx, label, now))))
      throw new Refusal(`there is no registration token ${plain(label)}`)
    print(json, { label }, `Revoked the registration token ${plain(label)}. The clients it let in stay.`)
  })
}
