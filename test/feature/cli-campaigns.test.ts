import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { environmentOf, hitotsu } from '../support/cli.ts'
import { givenCampaign, givenConnection, givenIdentity, givenMember } from '../support/given.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
  await givenConnection(server, { id: 'line' })
})
afterAll(() => server.close())

const campaigns = (...args: string[]) => hitotsu(['campaigns', ...args], environmentOf(server))
const create = (id: string, ...args: string[]) =>
  campaigns(
    ...['create', '--id', id, '--connection', 'line', '--name-ja', '春の連携', '--reward-ja', '100ポイント'],
    ...['--reward-en', '100 points', '--amount', '100', '--unit', 'point', ...args],
  )
const april = ['--starts', '2027-04-01', '--ends', '2027-05-01']

test('every fault of a campaign is named at once, under its option', async () => {
  const { status, stderr } = await campaigns('create', '--id', 'Spring!', '--reward-ja', '', '--unit', '円')
  expect(status).toBe(2)
  expect(stderr).toContain('--id Spring!: ')
  expect(stderr).toContain('--connection is required')
  expect(stderr).toContain('--name-ja or --name-en is required')
  expect(stderr).toContain('--amount is required')
  expect(stderr).toContain('--unit 円: ')
  expect(stderr).toContain('--starts is required')
})

test.each([
  [
    'that ends before it starts',
    ['--starts', '2027-04-01', '--ends', '2027-04-01'],
    'must be after the start',
    2,
  ],
  ['whose day is none', ['--starts', '2027-02-30T00:00', '--ends', '2027-05-01'], 'Give a day', 2],
  ['of nobody', ['--budget', '0', ...april], '--budget', 2],
  ['of a connection there is none of', ['--connection', 'none', ...april], 'no such connection', 1],
])('a campaign %s is refused', async (_, args, words, code) => {
  const { status, stderr } = await create('refused', ...args)
  expect([status, stderr]).toEqual([code, expect.stringContaining(words)])
  expect(await server.db.campaign.count({ where: { id: 'refused' } })).toBe(0)
})

test('a campaign is stored with its window in Japan time, and one of a connection runs at a time', async () => {
  const { status, stdout } = await create('april', '--budget', '10000', ...april, '--json')
  expect(status).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({
    id: 'april',
    name: { ja: '春の連携', en: '春の連携' },
    startsAt: '2027-03-31T15:00:00.000Z',
    endsAt: '2027-04-30T15:00:00.000Z',
    granted: 0,
    remaining: 10_000,
    state: 'ahead',
  })
  const event = await server.db.event.findFirstOrThrow({ where: { type: 'campaign.created' } })
  expect(event.data).toEqual({ campaignId: 'april', connectionId: 'line' })
  const overlapping = await create('golden-week', '--starts', '2027-04-29', '--ends', '2027-05-06')
  expect([overlapping.status, overlapping.stderr]).toEqual([1, expect.stringContaining('april of line')])
  expect((await create('april', ...april)).status).toBe(1)
  expect((await create('may', '--starts', '2027-05-01', '--ends', '2027-06-01')).status).toBe(0)
  const listed = await campaigns('list')
  expect(listed.stdout).toMatch(/may +line +100ポイント +2027-04-30 15:00 UTC/)
})

test('show tells what was granted and what is left; disable ends it for good', async () => {
  const { id: connectionId } = await givenConnection(server)
  const id = await givenCampaign(server, { connectionId, budget: 3 })
  await givenIdentity(server, { memberId: (await givenMember(server)).id, connectionId })
  const shown = JSON.parse((await campaigns('show', id, '--json')).stdout)
  expect(shown).toMatchObject({ granted: 1, remaining: 2, state: 'running' })
  expect((await campaigns('disable', id)).stdout).toContain(`Disabled the campaign ${id}.`)
  expect((await campaigns('disable', id)).stdout).toContain('disabled already')
  await givenIdentity(server, { memberId: (await givenMember(server)).id, connectionId })
  expect(JSON.parse((await campaigns('show', id, '--json')).stdout)).toMatchObject({
    granted: 1,
    state: 'disabled',
  })
  expect((await campaigns('show', 'nothing')).stderr).toContain('there is no campaign nothing')
})
