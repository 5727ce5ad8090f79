import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { disableConnection } from '../../src/connections/connection.ts'
import { suspendMember } from '../../src/members/suspension.ts'
import { inTransaction } from '../../src/store/db.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { environmentOf, hitotsu } from '../support/cli.ts'
import { type GivenMember, givenConnection, givenIdentity, givenMember } from '../support/given.ts'
import { changesOf } from '../support/linking.ts'

let server: TestApp
let folder: string
beforeAll(async () => {
  ;[server, folder] = await Promise.all([startTestApp(), mkdtemp(join(tmpdir(), 'hitotsu-links-'))])
})
afterAll(() => Promise.all([server.close(), rm(folder, { recursive: true })]))

let connectionId: string
let member: GivenMember
let file: string
beforeEach(async () => {
  connectionId = (await givenConnection(server)).id
  member = await givenMember(server)
  file = join(folder, `links-${randomBytes(6).toString('hex')}.csv`)
})

const statement = 'Agreed in the former members’ site'
const run = (...args: string[]) =>
  hitotsu(
    ['links', 'import', connectionId, '--file', file, '--statement', statement, '--json', ...args],
    environmentOf(server),
  )
const headings = 'member_id,member_email,subject,name,email,agreed_at,terms_version'
const agreed = '2026-04-01T09:00:00+09:00,2026-03'
const write = (...lines: string[]) => writeFile(file, [headings, ...lines, ''].join('\r\n'))
const line = (subject: string, id = member.id) => `${id},,${subject},,,${agreed}`
const answerOf = ({ stdout }: { stdout: string }) => JSON.parse(stdout)

describe('a list is refused as a whole', () => {
  test.each([
    ['when headings are missing, unknown or there twice', 'subject,colour,subject\nx,y,z\n', 5],
    ['when it is neither UTF-8 nor CP932', Buffer.from([0x61, 0x2c, 0xff, 0xff, 0xa0, 0x0a]), 1],
  ])('%s', async (_, content, faults) => {
    await writeFile(file, content)
    const { result, ...changes } = await changesOf(server, () => run())
    expect(result).toMatchObject({ status: 1, stdout: '' })
    expect(result.stderr.trim().split('\n')).toHaveLength(faults)
    expect(changes).toEqual({ rows: {}, events: [] })
  })

  test('when there is no such file, or no such connection', async () => {
    expect(await run()).toMatchObject({ status: 1, stderr: `error: --file ${file}: there is no such file\n` })
    await write()
    const args = ['links', 'import', 'nowhere', '--file', file, '--statement', statement]
    expect((await hitotsu(args, environmentOf(server))).stderr).toBe(
      'error: there is no connection nowhere\n',
    )
  })
})

describe('a line is refused with its reason, and the others are linked', () => {
  test.each<[string, () => Promise<string> | string, string]>([
    [
      'that has not as many cells as headings',
      () => `${member.id},,s-1`,
      'has not as many cells as there are headings',
    ],
    ['without a subject', () => line(''), 'subject must be 1 to 255 visible ASCII characters'],
    [
      'with a subject that is no identifier',
      () => line('花子'),
      'subject must be 1 to 255 visible ASCII characters',
    ],
    ['that names no member', () => `,,s-1,,,${agreed}`, 'names no member'],
    ['that names a member nobody is', () => line('s-1', crypto.randomUUID()), 'account_unavailable'],
    [
      'whose ID and address are of two members',
      async () => `${member.id},${(await givenMember(server)).email},s-1,,,${agreed}`,
      'account_unavailable',
    ],
    [
      'of a member who is suspended',
      async () => {
        const { id } = await givenMember(server)
        await inTransaction(server.db, (tx) => suspendMember(tx, id, undefined, server.now()))
        return line('s-1', id)
      },
      'account_unavailable',
    ],
    ['of a day that is none', () => `${member.id},,s-1,,,2026-02-30,2026-03`, 'agreed_at'],
    ['that was agreed to tomorrow', () => `${member.id},,s-1,,,2999-01-01,2026-03`, 'agreed_in_the_future'],
    ['that says no version of the terms', () => `${member.id},,s-1,,,2026-04-01,`, 'terms_version'],
    [
      'of an account that another member has',
      async () => {
        const { id } = await givenMember(server)
        await givenIdentity(server, { memberId: id, connectionId, subject: 's-taken' })
        return line('s-taken')
      },
      'linked_to_another_member',
    ],
    [
      'of a member who has another account there',
      async () => {
        const { id } = await givenMember(server)
        await givenIdentity(server, { memberId: id, connectionId })
        return line('s-1', id)
      },
      'another_identity_linked',
    ],
    [
      'of an account that another member has just unlinked',
      async () => {
        const { issuer } = await server.db.connection.findUniqueOrThrow({ where: { id: connectionId } })
        const now = server.now()
        await server.db.formerIdentity.create({
          data: {
            ...{
              identityId: crypto.randomUUID(),
              reason: 'member',
              memberId: (await givenMember(server)).id,
              connectionId,
              issuer,
            },
            ...{ subject: 's-cooling', linkedAt: now, unlinkedAt: now },
            coolOffUntil: new Date(now.getTime() + 86_400_000),
          },
        })
        return line('s-cooling')
      },
      'cooling_off',
    ],
  ])('%s', async (_, given, reason) => {
    const bad = await given()
    const good = await givenMember(server)
    await write(bad, line('s-good', good.id))
    const report = `${file}.refused`
    const { result, ...changes } = await changesOf(server, () => run('--refused', report))
    expect(result.stderr).toBe('')
    expect(answerOf(result)).toMatchObject({ linked: 1 })
    const [, refused = ''] = (await readFile(report, 'utf8')).split('\r\n')
    expect(refused).toMatch(/^2,/)
    expect(refused).toContain(reason)
    expect(changes.rows).toEqual({ FederatedIdentity: '+1', LinkConsent: '+1' })
  })

  test('every line, once the connection is disabled', async () => {
    await write(line('s-1'))
    await inTransaction(server.db, (tx) => disableConnection(tx, connectionId, server.now()))
    expect(answerOf(await run())).toMatchObject({ linked: 0, connection_unavailable: 1 })
  })

  test('and a reason that quotes the list runs in no spreadsheet', async () => {
    await write(`=cmd|' /C calc'!A0,,s-1,,,${agreed}`)
    const report = `${file}.refused`
    await run('--refused', report)
    expect(await readFile(report, 'utf8')).not.toMatch(/(^|,)=/m)
  })
})

test('what is linked has the statement for evidence, no mail goes out, and it is found again the next time', async () => {
  await write(`${member.id},${member.email},s-1,山田 花子,hanako@upstream.example,${agreed}`)
  const { result, ...changes } = await changesOf(server, () => run())
  expect(answerOf(result)).toEqual({ connectionId, dryRun: false, linked: 1, already_linked: 0 })
  const consent = await server.db.linkConsent.findFirstOrThrow({ where: { memberId: member.id } })
  expect(consent).toMatchObject({
    ...{ way: 'import', termsVersion: '2026-03', place: { statement } },
    agreedAt: new Date('2026-04-01T00:00:00Z'),
    shown: { account: '山田 花子', received: ['subject', 'name', 'email'], shared: [] },
  })
  const identity = await server.db.federatedIdentity.findFirstOrThrow({ where: { memberId: member.id } })
  const data = {
    connectionId,
    way: 'import',
    identityId: identity.id,
    consentId: consent.id,
    purpose: 'link',
  }
  expect(changes).toEqual({
    rows: { FederatedIdentity: '+1', LinkConsent: '+1' },
    events: [{ type: 'identity.linked', memberId: member.id, data }],
  })
  const subjects = server.inbox
    .messages()
    .flatMap(({ to, subject }) => (to.includes(member.email) ? subject : []))
  expect(subjects).toEqual(['[Hitotsu] Welcome'])
  const again = await changesOf(server, () => run())
  expect(answerOf(again.result)).toMatchObject({ linked: 0, already_linked: 1 })
  expect(again).toMatchObject({ rows: {}, events: [] })
})

test('a dry run changes nothing and says what would be', async () => {
  await write(line('s-1'))
  const { result, ...changes } = await changesOf(server, () => run('--dry-run'))
  expect(answerOf(result)).toMatchObject({ dryRun: true, linked: 1 })
  expect(changes).toEqual({ rows: {}, events: [] })
})

test('a list that a Japanese spreadsheet saved (CP932) is read as it was meant', async () => {
  const name = Buffer.from([0x8d, 0x82, 0x96, 0xd8]) // 高木
  const rest = Buffer.from(`,,${agreed}\r\n`)
  await writeFile(file, Buffer.concat([Buffer.from(`${headings}\r\n${member.id},,s-1,`), name, rest]))
  expect(answerOf(await run())).toMatchObject({ linked: 1 })
  const identity = await server.db.federatedIdentity.findFirstOrThrow({ where: { memberId: member.id } })
  expect(identity.profile).toEqual({ name: '高木' })
})

test('two lists at once link each account once', async () => {
  const others = await Promise.all(Array.from({ length: 10 }, () => givenMember(server)))
  await write(...others.map(({ id }, index) => line(`s-${index}`, id)))
  const { result, ...changes } = await changesOf(server, () => Promise.all([run(), run()]))
  const answers = result.map(answerOf)
  expect(answers.map(({ linked, already_linked: already }) => linked + already)).toEqual([10, 10])
  expect(answers[0].linked + answers[1].linked).toBe(10)
  expect(changes.rows).toEqual({ FederatedIdentity: '+10', LinkConsent: '+10' })
})
