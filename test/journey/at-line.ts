import { randomBytes } from 'node:crypto'
import { expect, vi } from 'vitest'
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

/** Who is signed in at LINE is asked whether to go on as that person; what was allowed before is not asked again. */
export async function continueAtLine(visitor: Visitor): Promise<void> {
  await visitor.press(visitor.page.locator('button.main'))
}

export async function allowAtLine(visitor: Visitor): Promise<void> {
  await visitor.press(visitor.page.locator('button[name=decision][value=allow]'))
}

export async function cancelAtLine(visitor: Visitor): Promise<void> {
  await visitor.press(visitor.page.locator('button[name=decision][value=cancel]'))
}

/** This person's LINE app, as a page. */
export async function openPhone(visitor: Visitor, world: World, { id }: LinePerson): Promise<void> {
  await visitor.open(`${world.line.url}/phone/${id}`)
}

/** Messages come beside the page: it is looked at again until this has come. */
export async function waitInTalk({ page }: Visitor, words: string): Promise<void> {
  await vi.waitFor(
    async () => {
      await page.reload()
      expect(await page.locator('.bubble').allInnerTexts()).toEqual(
        expect.arrayContaining([expect.stringContaining(words)]),
      )
    },
    { timeout: 15_000, interval: 300 },
  )
}

/** The LINE app asks whose phone this is. */
export async function confirmAtLine(visitor: Visitor, { id }: LinePerson): Promise<void> {
  await visitor.press(visitor.page.locator(`button[name=person][value=${id}]`))
}
