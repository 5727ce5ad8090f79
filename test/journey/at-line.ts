import { randomBytes } from 'node:crypto'
import { userIdOf } from '../../src/demo/line/simulator.ts'
import type { Person as LinePerson } from '../../src/demo/line/state.ts'
import type { Visitor } from '../support/chromium.ts'
import type { World } from '../support/world.ts'

/** Somebody with a LINE account nobody else uses. */
export function givenLinePerson(world: World, { email }: { email?: string } = {}): LinePerson {
  const id = `person-${randomBytes(4).toString('hex')}`
  return world.line.control.putPerson({
    id,
    name: `LINE ${id}`,
    email: email ?? `${id}@example.com`,
    password: 'password',
    picture: true,
    language: 'ja',
    profileConsent: true,
  })
}

/** The subject LINE gives to the only provider of the demo. */
export const lineSubject = ({ id }: LinePerson) => userIdOf('provider-a', id)

export async function signInAtLine(visitor: Visitor, { name }: LinePerson): Promise<void> {
  await visitor.press(visitor.page.getByRole('button', { name }))
}

export async function allowAtLine(visitor: Visitor): Promise<void> {
  await visitor.press(visitor.page.locator('button[name=decision][value=allow]'))
}

export async function cancelAtLine(visitor: Visitor): Promise<void> {
  await visitor.press(visitor.page.locator('button[name=decision][value=cancel]'))
}
