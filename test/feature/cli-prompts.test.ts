import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { environmentOf, hitotsu } from '../support/cli.ts'
import { givenClient, givenConnection } from '../support/given.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
  await givenConnection(server, { id: 'line' })
  await givenClient(server, { id: 'shop', connections: ['line'] })
})
afterAll(() => server.close())

const prompts = (...args: string[]) => hitotsu(['prompts', ...args], environmentOf(server))

test.each([
  ['a connection there is none of', ['set', 'nothing', '--after-sign-in', 'on'], 1, 'no connection nothing'],
  ['a word that is neither on nor off', ['set', 'line', '--after-sign-in', 'yes'], 2, 'on, off'],
  ['days that never come', ['set', 'line', '--every-days', '0'], 2, 'from 1 to 365'],
  ['a client there is none of', ['show', 'line', '--client', 'nobody'], 1, 'there is no such client'],
])('%s is refused', async (_, args, code, words) => {
  const { status, stderr } = await prompts(...args)
  expect([status, stderr]).toEqual([code, expect.stringContaining(words)])
})

test('what is set is kept and recorded; the same again changes nothing', async () => {
  const set = ['set', 'line', '--after-sign-in', 'on', '--every-days', '14', '--json']
  expect(JSON.parse((await prompts(...set)).stdout)).toEqual({
    ...{ id: 'line', promptAfterSignIn: true, promptEveryDays: 14, changed: true },
  })
  expect(JSON.parse((await prompts(...set)).stdout).changed).toBe(false)
  const events = await server.db.event.findMany({ where: { type: 'connection.updated' } })
  expect(events.map(({ data }) => data)).toEqual([
    { connectionId: 'line', changed: ['promptAfterSignIn', 'promptEveryDays'] },
  ])
})

test('show prints a tag and an address that work', async () => {
  const { stdout } = await prompts('show', 'line', '--client', 'shop')
  const source = /<script src="([^"]+)" data-linked="" async><\/script>/.exec(stdout)?.[1] ?? ''
  const script = await fetch(source.replaceAll('&amp;', '&'))
  expect([script.status, await script.text()]).toEqual([200, expect.stringContaining('"client":"shop"')])
  const url = /^ {2}(http\S+)$/m.exec(stdout)?.[1] ?? ''
  expect((await fetch(url)).status).toBe(200)
})
