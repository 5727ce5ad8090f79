import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  findOfficialAccount,
  openChannelSecret,
} from '../../src/connections/line-messaging/official-account.ts'
import type { LineSimulator } from '../../src/demo/line/server.ts'
import { botUserIdOf } from '../../src/demo/line/simulator.ts'
import { environmentOf, hitotsu } from '../support/cli.ts'
import { givenConnection, givenIdentity, givenMember } from '../support/given.ts'
import { botChannelId, botChannelOf } from '../support/line-simulator.ts'
import { givenLineUser, givenOfficialAccount } from '../support/line-talk.ts'
import { givenLine, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let line: LineSimulator
let folder: string
let menus: Awaited<ReturnType<typeof givenOfficialAccount>>
beforeAll(async () => {
  server = await startLinkingApp()
  line = await givenLine(server)
  menus = await givenOfficialAccount(server, line)
  folder = await mkdtemp(join(tmpdir(), 'hitotsu-messaging-'))
  await writeFile(join(folder, 'secret'), `${botChannelOf(line).secret}\n`)
})
afterAll(async () => {
  await Promise.all([server.close(), line.close(), rm(folder, { recursive: true, force: true })])
})

const messaging = (args: string[], input = '') =>
  hitotsu(
    ['connections', 'messaging', ...args],
    { ...environmentOf(server), OUTBOUND_PRIVATE_HOSTS: new URL(line.url).host },
    input,
  )
const fromFile = () => ['--channel-secret-file', join(folder, 'secret')]
const set = (...args: string[]) => messaging(['set', 'line', '--channel-id', botChannelId, ...args])

interface Report {
  passed: boolean
  checks: { name: string; outcome: string }[]
}

async function checked() {
  const { status, stdout } = await messaging(['check', 'line', '--json'])
  const { checks, passed }: Report = JSON.parse(stdout)
  return { status, passed, outcomes: Object.fromEntries(checks.map(({ name, outcome }) => [name, outcome])) }
}

test('every fault is named at once, and the secret is repeated in none', async () => {
  const ended = await messaging(
    ['set', 'line', '--channel-id', 'abc', '--linked-menu', 'menu', '--channel-secret-file', '-'],
    'not hexadecimal',
  )
  expect(ended.status).toBe(2)
  expect(ended.stderr).toContain('--channel-id abc: digits only')
  expect(ended.stderr).toContain('--linked-menu menu: looks like richmenu-')
  expect(ended.stderr).toContain('the channel secret: 32 hexadecimal digits')
  expect(ended.stderr).not.toContain('not hexadecimal')
})

test('a channel that LINE does not know is not stored', async () => {
  const before = await findOfficialAccount(server.db, 'line')
  const wrong = await messaging(
    ['set', 'line', '--channel-id', botChannelId, '--channel-secret-file', '-'],
    'f'.repeat(32),
  )
  expect(wrong.status).toBe(1)
  expect(wrong.stderr).toContain('LINE gives no token for this channel ID and secret')
  expect(await findOfficialAccount(server.db, 'line')).toEqual(before)
})

test('a connection that is none, or not of LINE, gets no official account', async () => {
  await givenConnection(server, { id: 'store' })
  for (const [id, words] of [
    ['nobody', 'there is no connection nobody'],
    ['store', 'store is no LINE connection'],
  ] as const) {
    const ended = await messaging(['set', id, '--channel-id', botChannelId, ...fromFile()])
    expect([ended.status, ended.stderr]).toEqual([1, `error: ${words}\n`])
  }
})

test('one official account serves one connection', async () => {
  await givenConnection(server, { id: 'line2', kind: 'line', issuer: line.url })
  const ended = await messaging(['set', 'line2', '--channel-id', botChannelId, ...fromFile()])
  expect([ended.status, ended.stderr]).toEqual([1, 'error: another connection has this official account\n'])
})

test('it is stored with its secret sealed and the bot it is, and LINE is told where we listen', async () => {
  botChannelOf(line).webhookUrl = undefined
  const { linkedMenu, unlinkedMenu } = menus
  const ended = await set(
    ...fromFile(),
    ...[
      '--linked-menu',
      linkedMenu,
      '--unlinked-menu',
      unlinkedMenu,
      '--link-word',
      '会員連携',
      '--register-webhook',
    ],
  )
  expect(ended).toMatchObject({ status: 0, stderr: '' })
  const webhookUrl = `${server.issuer}/connections/line/line/webhook`
  expect(ended.stdout).toContain(webhookUrl)
  expect(ended.stdout).not.toContain(botChannelOf(line).secret)
  expect(botChannelOf(line).webhookUrl).toBe(webhookUrl)
  const account = await findOfficialAccount(server.db, 'line')
  expect(account).toMatchObject({
    ...{ channelId: botChannelId, botUserId: botUserIdOf(botChannelId) },
    ...{ linkedRichMenuId: linkedMenu, unlinkedRichMenuId: unlinkedMenu, linkWords: ['会員連携'] },
  })
  expect(account && openChannelSecret(server.sealer, account)).toBe(botChannelOf(line).secret)

  const shown = await messaging(['show', 'line'])
  expect(shown.stdout).toContain(webhookUrl)
  expect(shown.stdout).toContain('会員連携')
})

test('a check says that both channels are of one provider once a friend has linked by LINE Login', async () => {
  const before = await checked()
  expect(before).toMatchObject({ status: 0, passed: true, outcomes: { 'one provider': 'warn' } })
  const { userId } = givenLineUser(line)
  const member = await givenMember(server)
  await givenIdentity(server, { memberId: member.id, connectionId: 'line', subject: userId })
  const after = await checked()
  expect(new Set(Object.values(after.outcomes))).toEqual(new Set(['ok']))
})

test('a check fails where LINE delivers nothing, cannot reach us, or has no such menu', async () => {
  const channel = botChannelOf(line)
  channel.webhookOn = false
  delete line.simulator.state.richMenus[menus.unlinkedMenu]
  const off = await checked()
  channel.webhookOn = true
  expect(off).toMatchObject({
    status: 1,
    outcomes: { channel: 'ok', 'webhook in use': 'fail', 'menu of the others': 'fail' },
  })
  channel.webhookUrl = 'https://bot.example.com/webhook'
  const elsewhere = await checked()
  expect(elsewhere.outcomes).toMatchObject({ 'webhook address': 'warn', 'webhook answer': 'ok' })
})

test('removed, it is no more, and what is linked stays', async () => {
  const linked = await server.db.federatedIdentity.count()
  expect(await messaging(['remove', 'line'])).toMatchObject({ status: 0, stderr: '' })
  expect(await findOfficialAccount(server.db, 'line')).toBeUndefined()
  expect(await server.db.federatedIdentity.count()).toBe(linked)
  expect((await messaging(['remove', 'line'])).stderr).toBe('error: line has no official account\n')
  expect((await messaging(['check', 'line'])).status).toBe(1)
})
