import type { Member } from '../../store/generated/client.ts'
import type { Values } from './row-change.ts'

/** Attributes that belong together: of these a profile has its own, or takes all of the other's. */
const groups = [
  ['name', 'familyName', 'givenName', 'middleName'],
  ['nickname'],
  ['picture'],
  ['birthdate'],
  ['gender'],
  ['zoneinfo'],
  ['preferredUsername'],
  ['profile'],
  ['website'],
  ['address'],
  ['phoneNumber', 'phoneVerifiedAt'],
] as const satisfies readonly (readonly (keyof Member)[])[]

/** What the survivor's profile takes from the absorbed one's: where it says nothing, and never a part of a group. */
export function lackedAttributes(survivor: Member, absorbed: Member): { before: Values; after: Values } {
  const isEmpty = (member: Member, group: (typeof groups)[number]) =>
    group.every((name) => member[name] === null)
  const names = groups
    .filter((group) => isEmpty(survivor, group) && !isEmpty(absorbed, group))
    .flatMap((group) => [...group])
    .filter((name) => absorbed[name] !== null)
  return {
    before: Object.fromEntries(names.map((name) => [name, null])),
    after: Object.fromEntries(names.map((name) => [name, toJson(absorbed[name])])),
  }
}

const toJson = (value: unknown) => (value instanceof Date ? value.toISOString() : value)
