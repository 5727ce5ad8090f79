import { type Command, InvalidArgumentError } from 'commander'
import { reactivateMember, suspendMember } from '../members/suspension.ts'
import { type Db, inTransaction, type Tx } from '../store/db.ts'
import { addCommand, type Json } from './command.ts'
import { type Surroundings, withContext } from './context.ts'
import { findMember, type MemberView, memberParts } from './member-view.ts'
import { details, plain, print } from './output.ts'
import { Refusal } from './refusal.ts'

export function addMembers(program: Command, surroundings: Surroundings): void {
  const members = program.command('members').description('Members: who they are, and whether they may act.')
  const who = ['<member>', 'the member ID, or the e-mail address they sign in with'] as const
  addCommand(members, 'show', 'Show one member: status, ways to sign in, linked accounts, services.', [
    'hitotsu members show hanako@example.com',
    "hitotsu members show hanako@example.com --json | jq -r '.id'",
  ])
    .argument(...who)
    .action((given: string, options: Json) => show(given, options, surroundings))
  addCommand(
    members,
    'suspend',
    'Shut a member out at once: sessions and tokens end, nobody signs in. What is theirs stays.',
    [
      'hitotsu members suspend hanako@example.com',
      'hitotsu members suspend hanako@example.com --reason stolen-account',
    ],
  )
    .argument(...who)
    .option('--reason <word>', 'for the audit trail: letters, digits and hyphens, nothing personal', toReason)
    .action((given: string, options: SuspendOptions) => suspend(given, options, surroundings))
  addCommand(members, 'reactivate', 'Let a suspended member sign in again. Old sessions stay ended.', [
    'hitotsu members reactivate hanako@example.com',
  ])
    .argument(...who)
    .action((given: string, options: Json) => reactivate(given, options, surroundings))
}

interface SuspendOptions extends Json {
  reason?: string
}

function toReason(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9-]{0,39}$/.test(text)) return text
  throw new InvalidArgumentError('Give one word of letters, digits and hyphens, of at most 40 characters.')
}

function show(given: string, { json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, now }) => {
    const member = await known(db, given, now)
    print(json, member, details(memberParts(member)))
  })
}

function suspend(given: string, { json, reason }: SuspendOptions, surroundings: Surroundings): Promise<void> {
  return change(given, json, surroundings, {
    act: (tx, id, now) => suspendMember(tx, id, reason, now),
    done: (id) =>
      `Suspended the member ${id}. Sessions and tokens have ended; nobody signs in as this member.`,
    before: 'suspended',
    wanted: 'active',
  })
}

function reactivate(given: string, { json }: Json, surroundings: Surroundings): Promise<void> {
  return change(given, json, surroundings, {
    act: reactivateMember,
    done: (id) => `Reactivated the member ${id}, who can sign in again.`,
    before: 'active',
    wanted: 'suspended',
  })
}

interface Change {
  act: (tx: Tx, memberId: string, now: Date) => Promise<boolean>
  done: (memberId: string) => string
  /** The status in which there is nothing left to do. */
  before: MemberView['status']
  /** The one status it can start from. */
  wanted: MemberView['status']
}

function change(
  given: string,
  json: boolean | undefined,
  surroundings: Surroundings,
  { act, done, before, wanted }: Change,
): Promise<void> {
  return withContext(surroundings, async ({ db, now }) => {
    const { id } = await known(db, given, now)
    const changed = await inTransaction(db, (tx) => act(tx, id, now))
    const { status } = await known(db, id, now)
    if (!changed && status !== before)
      throw new Refusal(`the member ${id} is ${status}: only a member who is ${wanted} can be changed so`)
    const text = changed ? done(id) : `The member ${id} was ${status} already; nothing changed.`
    print(json, { id, status, changed }, text)
  })
}

async function known(db: Db, given: string, now: Date): Promise<MemberView> {
  const member = await findMember(db, given, now)
  if (!member) throw new Refusal(`there is no member ${plain(given)}`)
  return member
}
