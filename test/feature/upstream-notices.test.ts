import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { recordEvent } from '../../src/events/outbox.ts'
import {
  findNotice,
  forgetNotices,
  keepNotices,
  type NewNotice,
  takeNotice,
} from '../../src/linking/notices/notice.ts'
import { type NoticeHandler, noticeSink } from '../../src/linking/notices/notice-sink.ts'
import { systemRandom } from '../../src/security/random.ts'
import { inTransaction } from '../../src/store/db.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { givenConnection } from '../support/given.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
})
afterAll(() => server.close())

let connectionId: string
let count = 0
beforeEach(async () => {
  connectionId = (await givenConnection(server, { id: `upstream-${++count}` })).id
})

const notice = (noticeId: string, body: unknown = { type: 'revoked' }): NewNotice => ({
  ...{ connectionId, noticeId, body },
  source: 'security_event',
})

const keep = (...notices: NewNotice[]) =>
  inTransaction(server.db, (tx) =>
    keepNotices(tx, { sealer: server.sealer, random: systemRandom }, notices, server.now()),
  )

const eventsOf = () =>
  server.db.event.findMany({
    where: { type: 'upstream.notified', data: { path: ['connectionId'], equals: connectionId } },
    orderBy: { position: 'asc' },
  })

/** What the outbox delivers for the only notice of this test, to a sink with this handler. */
async function deliver(handler: NoticeHandler): Promise<void> {
  const [event] = await eventsOf()
  if (event?.type !== 'upstream.notified') throw new Error('nothing was recorded')
  const { id, occurredAt, data } = event
  const sink = noticeSink(server, { security_event: handler })
  await sink({ id, occurredAt, type: event.type, data: data as { connectionId: string; noticeId: string } })
}

test('a notice that is delivered again is kept once, and led to its handling once', async () => {
  expect(await keep(notice('a'), notice('b'))).toBe(2)
  expect(await keep(notice('b'), notice('c'))).toBe(1)
  expect(await server.db.upstreamNotice.count({ where: { connectionId } })).toBe(3)
  expect(await eventsOf()).toHaveLength(3)
})

test('two deliveries of one notice at the same moment keep it once', async () => {
  const kept = await Promise.all(Array.from({ length: 5 }, () => keep(notice('same'))))
  expect(kept.sort()).toEqual([0, 0, 0, 0, 1])
  expect(await eventsOf()).toHaveLength(1)
})

test('the same id from another upstream is another notice', async () => {
  const other = await givenConnection(server)
  expect(await keep(notice('same'), { ...notice('same'), connectionId: other.id })).toBe(2)
})

test('what was said is sealed at rest, and the event says nothing of it', async () => {
  await keep(notice('a', { userId: 'U0000000000000000' }))
  const row = await server.db.upstreamNotice.findFirstOrThrow({ where: { connectionId } })
  const [event] = await eventsOf()
  expect(JSON.stringify([row, event?.data])).not.toContain('U0000000000000000')
  expect((await findNotice(server.db, server.sealer, row.id))?.body).toEqual({ userId: 'U0000000000000000' })
})

test('a transaction that fails keeps neither the notice nor the event', async () => {
  const attempt = inTransaction(server.db, async (tx) => {
    await keepNotices(tx, { sealer: server.sealer, random: systemRandom }, [notice('a')], server.now())
    throw new Error('cut short')
  })
  await expect(attempt).rejects.toThrow('cut short')
  expect(await server.db.upstreamNotice.count({ where: { connectionId } })).toBe(0)
  expect(await eventsOf()).toEqual([])
})

test('a notice is handed to its handler until that has done its work, and then no more', async () => {
  await keep(notice('a'))
  let calls = 0
  const handler: NoticeHandler = async ({ body }) => {
    expect(body).toEqual({ type: 'revoked' })
    if (++calls === 1) throw new Error('the upstream is away')
  }
  await expect(deliver(handler)).rejects.toThrow('the upstream is away')
  await deliver(handler)
  await deliver(handler)
  expect(calls).toBe(2)
})

test('of two that handle a notice at once, one has an effect', async () => {
  await keep(notice('a'))
  let arrived = 0
  let open = () => {}
  const both = new Promise<void>((resolve) => {
    open = resolve
  })
  const handler: NoticeHandler = async ({ id }) => {
    if (++arrived === 2) open()
    await both
    await inTransaction(server.db, async (tx) => {
      if (!(await takeNotice(tx, id, server.now()))) return
      await recordEvent(tx, { type: 'link.refused', data: { connectionId, reason: 'effect' } }, server.now())
    })
  }
  await Promise.all([deliver(handler), deliver(handler)])
  const effects = await server.db.event.count({
    where: { type: 'link.refused', data: { path: ['connectionId'], equals: connectionId } },
  })
  expect(effects).toBe(1)
})

test('a notice of a source this process does not know waits for one that does', async () => {
  await keep({ ...notice('a'), source: 'line_webhook' })
  await expect(deliver(async () => {})).rejects.toThrow('no handler')
  expect(await server.db.upstreamNotice.count({ where: { connectionId, handledAt: null } })).toBe(1)
})

test('what was handled a month ago is forgotten; what waits is not', async () => {
  await keep(notice('old'), notice('recent'), notice('waiting'))
  const daysAgo = (days: number) => new Date(server.now().getTime() - days * 86_400_000)
  const handled = (noticeId: string, handledAt: Date) =>
    server.db.upstreamNotice.updateMany({
      where: { connectionId, noticeId },
      data: { receivedAt: daysAgo(60), handledAt },
    })
  await handled('old', daysAgo(31))
  await handled('recent', daysAgo(29))
  await forgetNotices(server.db, server.now())
  const left = await server.db.upstreamNotice.findMany({ where: { connectionId } })
  expect(left.map(({ noticeId }) => noticeId).sort()).toEqual(['recent', 'waiting'])
})
