import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type Dispatcher, type Sink, startDispatcher } from '../../src/events/dispatcher.ts'
import type { SinkName } from '../../src/events/event.ts'
import { claimDeliveries, recordEvent } from '../../src/events/outbox.ts'
import { createLogger } from '../../src/telemetry/logger.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let time: number
let logged: string[]
beforeEach(async () => {
  database = await createDatabase()
  time = Date.parse('2026-04-01T00:00:00Z')
  logged = []
})
afterEach(() => database.drop())

const now = () => new Date(time)
const pass = (seconds: number) => {
  time += seconds * 1000
}

/** A dispatcher that delivers when it is told to; it looks for work by itself only once. */
function dispatcher(sinks: Partial<Record<SinkName, Sink>>): Dispatcher {
  const nothing: Sink = async () => {}
  const log = createLogger('info', { write: (line) => void logged.push(line) })
  const all = {
    audit: nothing,
    mail: nothing,
    upstream: nothing,
    notices: nothing,
    messaging: nothing,
    backchannel_logout: nothing,
    ...sinks,
  }
  const started = startDispatcher({ db: database.db, sinks: all, now, log, idleMs: 3_600_000 })
  onTestFinished(() => started.stop())
  return started
}

/** Something that only the audit trail takes; `text` tells one from another. */
const record = (memberId: string | undefined, text: string) =>
  recordEvent(
    database.db,
    { type: 'member.profile_changed', ...(memberId && { memberId }), data: { claims: [text] } },
    now(),
  )

/** Keeps what it was given, and fails as often as it is told to. */
function collector(failures: Record<string, number> = {}) {
  const seen: string[] = []
  const sink: Sink = async (event) => {
    const text = event.type === 'member.profile_changed' ? String(event.data.claims[0]) : event.type
    seen.push(text)
    const left = failures[text] ?? 0
    failures[text] = left - 1
    if (left > 0) throw new Error(`cannot take ${text}`)
  }
  return { seen, sink, take: () => seen.splice(0) }
}

const remaining = () => database.db.delivery.count()

describe('order', () => {
  test('a member’s events wait for the one before; everybody else’s do not', async () => {
    const { sink, take } = collector({ 'a 1': 1 })
    const [a, b] = [randomUUID(), randomUUID()]
    for (const text of ['a 1', 'a 2', 'a 3']) await record(a, text)
    await record(b, 'b 1')
    await record(undefined, 'nobody’s')
    const { drain } = dispatcher({ audit: sink })
    await drain()
    expect(take().sort()).toEqual(['a 1', 'b 1', 'nobody’s'])
    pass(1)
    await drain()
    expect(take()).toEqual(['a 1', 'a 2', 'a 3'])
    expect(await remaining()).toBe(0)
  })

  test('a sink that asks for no order gets what happened after what it could not take', async () => {
    const memberId = randomUUID()
    const taken: string[] = []
    const backchannel: Sink = async ({ type, data }) => {
      if (type !== 'session.logged_out') return
      if (data.clientId === 'down') throw new Error('down')
      taken.push(data.clientId)
    }
    for (const clientId of ['down', 'up']) {
      const data = { clientId, sid: clientId }
      await recordEvent(database.db, { type: 'session.logged_out', memberId, data }, now())
    }
    await dispatcher({ backchannel_logout: backchannel }).drain()
    expect(taken).toEqual(['up'])
    expect(await remaining()).toBe(1)
  })

  test('a sink that fails keeps no other sink waiting', async () => {
    const memberId = randomUUID()
    const mail = collector({ 'member.registered': 1 })
    const audit = collector()
    await recordEvent(database.db, { type: 'member.registered', memberId, data: { via: 'password' } }, now())
    await record(memberId, 'changed')
    await dispatcher({ audit: audit.sink, mail: mail.sink }).drain()
    expect(audit.seen).toEqual(['member.registered', 'changed'])
    expect(mail.seen).toEqual(['member.registered'])
    expect(await database.db.delivery.findMany({ select: { sink: true } })).toEqual([{ sink: 'mail' }])
  })

  test('events of nobody do not wait for each other', async () => {
    const { sink, seen } = collector({ one: 1 })
    for (const text of ['one', 'two']) await record(undefined, text)
    await dispatcher({ audit: sink }).drain()
    expect(seen.sort()).toEqual(['one', 'two'])
  })
})

describe('a delivery that fails', () => {
  test('is tried again, later each time, and never before it is due', async () => {
    const { sink, seen } = collector({ event: 3 })
    await record(randomUUID(), 'event')
    const { drain } = dispatcher({ audit: sink })
    await drain()
    for (const seconds of [1, 5, 30]) {
      const before = seen.length
      pass(seconds - 0.001)
      await drain()
      expect(seen).toHaveLength(before)
      pass(0.001)
      await drain()
      expect(seen).toHaveLength(before + 1)
    }
    expect(await remaining()).toBe(0)
  })

  test('is kept with its reason, which is logged', async () => {
    const { sink } = collector({ event: 1 })
    await record(randomUUID(), 'event')
    await dispatcher({ audit: sink }).drain()
    expect(await database.db.delivery.findFirst()).toMatchObject({
      attempts: 1,
      lastError: 'Error: cannot take event',
      parkedAt: null,
    })
    expect(logged.join('')).toContain('event not delivered yet')
  })

  test('is parked after about a day, is told to the operator, and blocks nothing from then on', async () => {
    const memberId = randomUUID()
    const { sink, seen, take } = collector({ stuck: 1000 })
    await record(memberId, 'stuck')
    await record(memberId, 'next')
    const { drain } = dispatcher({ audit: sink })
    await drain()
    const start = time
    for (let tries = 1; tries < 12; tries += 1) {
      expect(seen).toHaveLength(tries)
      const due = await database.db.delivery.findFirstOrThrow({ orderBy: { eventPosition: 'asc' } })
      expect(due.parkedAt).toBeNull()
      time = due.nextAttemptAt.getTime()
      await drain()
    }
    expect((time - start) / 3_600_000).toBeGreaterThan(20)
    expect((time - start) / 3_600_000).toBeLessThan(28)
    expect(take()).toEqual([...Array.from({ length: 12 }, () => 'stuck'), 'next'])
    expect(await database.db.delivery.findMany({ select: { parkedAt: true, attempts: true } })).toEqual([
      { parkedAt: now(), attempts: 12 },
    ])
    expect(logged.map((line) => JSON.parse(line)).filter(({ level }) => level === 'error')).toEqual([
      expect.objectContaining({ msg: 'event parked: every try failed', sink: 'audit', attempts: 12 }),
    ])
    pass(7 * 86_400)
    await drain()
    expect(take()).toEqual([])
  })
})

describe('several dispatchers', () => {
  test('never deliver one event twice at once, deliver each once, and keep the order of each member', async () => {
    const members = Array.from({ length: 8 }, () => randomUUID())
    for (let i = 0; i < 96; i += 1) await record(members[i % members.length], `${i}`)
    const busy = new Map<string, number>()
    const done: { memberId: string; number: number }[] = []
    let overlaps = 0
    const sink: Sink = async (event) => {
      const { id, memberId = '' } = event
      if (event.type !== 'member.profile_changed') return
      const inHand = (busy.get(memberId) ?? 0) + 1
      busy.set(memberId, inHand)
      if (inHand > 1) overlaps += 1
      await database.db.$queryRaw`SELECT 1 FROM pg_sleep(0.005)`
      busy.set(memberId, inHand - 1)
      done.push({ memberId, number: Number(event.data.claims[0]) })
      expect(id).toBeDefined()
    }
    const all = Array.from({ length: 4 }, () => dispatcher({ audit: sink }))
    await vi.waitFor(
      async () => {
        await Promise.all(all.map(({ drain }) => drain()))
        expect(await remaining()).toBe(0)
      },
      { timeout: 20_000 },
    )
    expect(overlaps).toBe(0)
    expect(done.map(({ number }) => number).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 96 }, (_, i) => i),
    )
    for (const member of members) {
      const numbers = done.filter(({ memberId }) => memberId === member).map(({ number }) => number)
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
    }
  })

  test('that look at the same moment never claim the same', async () => {
    for (let round = 0; round < 10; round += 1) {
      for (let i = 0; i < 12; i += 1) await record(randomUUID(), `${round} ${i}`)
      const claims = await Promise.all(
        Array.from({ length: 8 }, () => claimDeliveries(database.db, now(), 6)),
      )
      const positions = claims.flat().map(({ position }) => position)
      expect(new Set(positions).size).toBe(positions.length)
      expect(positions.length).toBeGreaterThan(0)
    }
  })

  test('leave what another has claimed to it, until its lease is over', async () => {
    const memberId = randomUUID()
    await record(memberId, 'claimed')
    await record(memberId, 'after it')
    // A process that dies here has claimed the event and says nothing more.
    expect(await claimDeliveries(database.db, now(), 20)).toHaveLength(1)
    const { sink, take } = collector()
    const { drain } = dispatcher({ audit: sink })
    await drain()
    pass(59)
    await drain()
    expect(take()).toEqual([])
    pass(1)
    await drain()
    expect(take()).toEqual(['claimed', 'after it'])
  })
})

test('stopping lets what is in hand finish, and claims nothing more', async () => {
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const seen: string[] = []
  const memberId = randomUUID()
  await record(memberId, 'in hand')
  await record(memberId, 'not begun')
  const { stop } = dispatcher({
    audit: async ({ data }) => {
      seen.push(JSON.stringify(data))
      await held
    },
  })
  await vi.waitFor(() => expect(seen).toHaveLength(1))
  let stopped = false
  const stopping = stop().then(() => {
    stopped = true
  })
  expect(await remaining()).toBe(2)
  expect(stopped).toBe(false)
  release()
  await stopping
  expect(seen).toEqual(['{"claims":["in hand"]}'])
  expect(await remaining()).toBe(1)
})

test('receivers that take their time keep only each other waiting', async () => {
  let release = () => {}
  const slow = new Promise<void>((resolve) => (release = resolve))
  const { sink, seen } = collector()
  const { drain } = dispatcher({ audit: sink, backchannel_logout: () => slow })
  const data = { clientId: 'slow', sid: 'sid' }
  await recordEvent(database.db, { type: 'session.logged_out', memberId: randomUUID(), data }, now())
  const first = drain()
  await vi.waitFor(() => expect(seen).toEqual(['session.logged_out']))
  await record(randomUUID(), 'later')
  const second = drain()
  await vi.waitFor(async () => expect([seen.length, await remaining()]).toEqual([2, 1]))
  expect(seen).toEqual(['session.logged_out', 'later'])
  release()
  await Promise.all([first, second])
  expect(await remaining()).toBe(0)
})

test('a dispatcher that has nothing to do looks again by itself', async () => {
  const { sink, seen } = collector()
  const log = createLogger('silent')
  const nothing: Sink = async () => {}
  const talk = { upstream: nothing, notices: nothing, messaging: nothing }
  const sinks = { audit: sink, mail: nothing, ...talk, backchannel_logout: nothing }
  const { stop } = startDispatcher({ db: database.db, sinks, now, log, idleMs: 5 })
  onTestFinished(stop)
  await record(randomUUID(), 'later')
  await vi.waitFor(() => expect(seen).toEqual(['later']))
})
