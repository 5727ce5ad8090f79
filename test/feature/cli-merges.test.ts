import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { environmentOf, hitotsu } from '../support/cli.ts'
import { givenMember } from '../support/given.ts'
import { signInTo } from '../support/linking.ts'
import { merge } from '../support/merging.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
})
afterAll(() => server.close())

const merges = (...args: string[]) => hitotsu(['merges', ...args], environmentOf(server))

test('what cannot be done is refused in words, by the right exit status', async () => {
  const done = await merge(server, await givenMember(server), await givenMember(server))
  const [unknown, anonymous, story, early] = await Promise.all([
    merges('show', 'no-such-merge'),
    merges('undo', done.id, '--reason', 'wrong'),
    merges('undo', done.id, '--as', 'a', '--reason', 'Hanako called us'),
    merges('approve', done.id, '--as', 'b'),
  ])
  expect(unknown).toEqual({ status: 1, stdout: '', stderr: 'error: there is no merge no-such-merge\n' })
  expect(anonymous).toMatchObject({ status: 2, stderr: expect.stringContaining('--as') })
  expect(story).toMatchObject({ status: 2, stderr: expect.stringContaining('--reason') })
  expect(early).toMatchObject({ status: 1, stderr: expect.stringContaining('nobody has asked for it') })
})

test('a merge is undone by two operators, and by no fewer', async () => {
  const [survivor, absorbed] = [await givenMember(server), await givenMember(server)]
  const done = await merge(server, survivor, absorbed)
  const listed = await merges('list', '--json')
  expect(JSON.parse(listed.stdout)).toContainEqual(
    expect.objectContaining({ id: done.id, state: 'undoable', survivorId: survivor.id }),
  )
  const asked = await merges('undo', done.id, '--as', 'suzuki', '--reason', 'not-the-same', '--json')
  expect(JSON.parse(asked.stdout)).toMatchObject({ state: 'waits_for_approval', requestedBy: 'suzuki' })
  const own = await merges('approve', done.id, '--as', 'Suzuki')
  expect(own).toMatchObject({ status: 1, stderr: expect.stringContaining('takes another operator') })
  expect((await merges('show', done.id)).stdout).toContain('brings everything back')

  const approved = await merges('approve', done.id, '--as', 'tanaka')
  expect(approved).toMatchObject({ status: 0, stdout: expect.stringContaining(absorbed.id) })
  const replayed = await merges('approve', done.id, '--as', 'sato')
  expect(replayed).toMatchObject({ status: 1, stderr: expect.stringContaining('undone before') })
  const shown = await merges('show', done.id, '--json')
  expect(JSON.parse(shown.stdout)).toMatchObject({ state: 'undone', undoneBy: 'suzuki, tanaka' })
  await signInTo(server, absorbed)
})
