import { once } from 'node:events'
import { createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { comesReady, connectionUrl } from '../../src/store/embedded-postgres-answer.ts'

/** Answers every connection as PostgreSQL does while it replays its log, and counts them. */
async function startRecoveringServer() {
  let asked = 0
  const refusal = Buffer.from('SFATAL\0C57P03\0Mthe database system is starting up\0\0')
  const length = Buffer.alloc(4)
  length.writeInt32BE(refusal.length + 4)
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => {
      asked++
      socket.end(Buffer.concat([Buffer.from('E'), length, refusal]))
    })
  }).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const address = server.address()
  const port = address && typeof address === 'object' ? address.port : 0
  return { url: connectionUrl(port, 'password'), asked: () => asked }
}

test('a server that says it is starting is given all the time it needs', async () => {
  const server = await startRecoveringServer()
  const enough = 8
  const ready = await comesReady(server.url, {
    running: () => server.asked() < enough,
    patienceMilliseconds: 200,
  })
  expect(ready).toBe(false)
  expect(server.asked()).toBe(enough)
})

test('a server that says nothing is given up', async () => {
  const mute = createServer().listen(0, '127.0.0.1')
  onTestFinished(() => void mute.close())
  await once(mute, 'listening')
  const address = mute.address()
  const url = connectionUrl(address && typeof address === 'object' ? address.port : 0, 'password')
  expect(await comesReady(url, { running: () => true, patienceMilliseconds: 200 })).toBe(false)
})
