import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Lineage, namesIn } from '../../src/oidc/lineage.ts'

const lineage: Lineage = ['survivor', 'first', 'of-first', 'second']
const subset = fc.subarray([...lineage, 'a stranger'])

test.each([
  ['nobody', [], { current: 'survivor', previous: [] }],
  ['the survivor', ['survivor'], { current: 'survivor', previous: [] }],
  ['one who was absorbed', ['second'], { current: 'second', previous: [] }],
  ['two who were absorbed', ['second', 'first'], { current: 'first', previous: ['second'] }],
  ['everybody', [...lineage], { current: 'survivor', previous: ['first', 'of-first', 'second'] }],
])('a client that knows %s', (_, known, names) => {
  expect(namesIn(lineage, known)).toEqual(names)
})

test('a client is told of nobody it does not know, but for the survivor where it knows nobody', () => {
  fc.assert(
    fc.property(subset, (known) => {
      const { current, previous } = namesIn(lineage, known)
      const told = [current, ...previous]
      const knows = known.filter((id) => lineage.includes(id))
      expect(told).toEqual(knows.length > 0 ? lineage.filter((id) => knows.includes(id)) : ['survivor'])
    }),
  )
})

test('a name that a client uses stays when the survivor is absorbed by somebody it does not know, or absorbs more', () => {
  fc.assert(
    fc.property(fc.subarray([...lineage], { minLength: 1 }), (known) => {
      const { current } = namesIn(lineage, known)
      expect(namesIn(['last', ...lineage], known).current).toBe(current)
      expect(namesIn([...lineage, 'later'], [...known, 'later']).current).toBe(current)
    }),
  )
})
