import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { markNeedsRelink } from '../../src/linking/unlink/needs-relink.ts'
import { inTransaction } from '../../src/store/db.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { environmentOf, hitotsu } from '../support/cli.ts'
import { givenClient, givenConnection, givenIdentity, givenMember } from '../support/given.ts'
import { signInTo } from '../support/linking.ts'
import { relyingParty, signIn } from '../support/relying-party.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
})
afterAll(() => server.close())

const members = (...args: string[]) => hitotsu(['members', ...args], environmentOf(server))
const statusOf = async (id: string) => (await server.db.member.findUniqueOrThrow({ where: { id } })).status

describe('members', () => {
  test('refuses a member there is not, a reason that is a story, and who does not come back', async () => {
    const { id, email } = await givenMember(server)
    await server.db.member.update({ where: { id }, data: { status: 'absorbed' } })
    const [unknown, story, absorbed, unsuspended] = await Promise.all([
      members('suspend', 'nobody@example.com'),
      members('suspend', email, '--reason', 'Hanako called us'),
      members('reactivate', id),
      members('suspend', id, '--json'),
    ])
    expect(unknown).toEqual({
      status: 1,
      stdout: '',
      stderr: 'error: there is no member nobody@example.com\n',
    })
    expect(story).toMatchObject({ status: 2, stdout: '', stderr: expect.stringContaining('--reason') })
    expect(absorbed).toMatchObject({
      status: 1,
      stderr: `error: the member ${id} is absorbed: only a member who is suspended can be changed so\n`,
    })
    expect(unsuspended).toMatchObject({ status: 1, stdout: '' })
    expect(await statusOf(id)).toBe('absorbed')
  })

  test('suspend ends a running session at once; reactivate lets the member sign in again', async () => {
    const member = await givenMember(server)
    const browser = await signInTo(server, member, openBrowser())
    const ended = await members('suspend', member.email, '--reason', 'stolen-account', '--json')
    expect(JSON.parse(ended.stdout)).toEqual({ id: member.id, status: 'suspended', changed: true })
    expect((await browser.open(`${server.issuer}/account`)).url.pathname).toMatch(/\/sign-in$/)
    const event = await server.db.event.findFirstOrThrow({ where: { type: 'member.suspended' } })
    expect(event).toMatchObject({
      memberId: member.id,
      data: { by: 'operator', reason: 'stolen-account' },
    })
    expect((await members('suspend', member.id.toUpperCase())).stdout).toContain('nothing changed')

    const back = await members('reactivate', member.id)
    expect(back).toMatchObject({ status: 0, stdout: expect.stringContaining('can sign in again') })
    await signInTo(server, member)
  })

  test('show names what is theirs and nothing that lets its reader in', async () => {
    const member = await givenMember(server)
    const { id: connectionId } = await givenConnection(server)
    const { subject } = await givenIdentity(server, { memberId: member.id, connectionId })
    const party = await relyingParty(server, await givenClient(server))
    await signIn(party, openBrowser(), member)
    const [json, text] = await Promise.all([
      members('show', member.email.toUpperCase(), '--json'),
      members('show', member.id),
    ])
    expect(JSON.parse(json.stdout)).toMatchObject({
      id: member.id,
      status: 'active',
      emails: [member.email],
      linkedAccounts: [{ connection: connectionId, subject }],
      services: [{ clientId: party.id }],
    })
    for (const part of [member.id, member.email, 'active', connectionId, subject, party.id])
      expect(text.stdout).toContain(part)
    expect(json.stdout + text.stdout).not.toContain('argon2')
  })

  test('show says which account its upstream stands behind no more', async () => {
    const member = await givenMember(server)
    const { id: connectionId } = await givenConnection(server)
    const { id } = await givenIdentity(server, { memberId: member.id, connectionId })
    expect((await members('show', member.id)).stdout).not.toContain('needs relinking')
    await inTransaction(server.db, (tx) => markNeedsRelink(tx, id, 'tokens_revoked', server.now()))
    expect((await members('show', member.id)).stdout).toContain('needs relinking since')
  })
})
