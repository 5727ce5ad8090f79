import { expect, test } from 'vitest'
import { decideLink, type LinkDecision, type LinkFacts } from '../../src/linking/decide.ts'

const nobody: LinkFacts = {
  linkedTo: undefined,
  acting: undefined,
  sameEmail: undefined,
  hasAnotherIdentity: false,
  heldFor: undefined,
  needsRelink: false,
}

test.each<[string, Partial<LinkFacts>, LinkDecision]>([
  [
    "another member's identity is never moved",
    { linkedTo: 'a', acting: 'b' },
    { action: 'refuse', reason: 'linked_to_another_member' },
  ],
  [
    'not even to the member whose address it names',
    { linkedTo: 'a', acting: 'b', sameEmail: 'b' },
    { action: 'refuse', reason: 'linked_to_another_member' },
  ],
  [
    'nor is it told as anything else to one who has an identity there',
    { linkedTo: 'a', acting: 'b', hasAnotherIdentity: true },
    { action: 'refuse', reason: 'linked_to_another_member' },
  ],
  [
    'a member has one identity of a connection',
    { acting: 'a', hasAnotherIdentity: true },
    { action: 'refuse', reason: 'another_identity_linked' },
  ],
  [
    'what another member has just unlinked waits before it joins somebody else',
    { acting: 'a', heldFor: 'b' },
    { action: 'refuse', reason: 'cooling_off' },
  ],
  [
    'an equal address is a hint and no proof',
    { sameEmail: 'a' },
    { action: 'ask_to_sign_in', memberId: 'a' },
  ],
  [
    'who is signed in is asked before anything is linked',
    { acting: 'a' },
    { action: 'ask_to_link', memberId: 'a' },
  ],
  [
    "the member who is signed in counts, whoever's address it names",
    { acting: 'a', sameEmail: 'b' },
    { action: 'ask_to_link', memberId: 'a' },
  ],
  [
    'of what somebody has just unlinked nobody new is made',
    { heldFor: 'a' },
    { action: 'ask_former_member', memberId: 'a' },
  ],
  [
    'not even where it names the address of another',
    { heldFor: 'a', sameEmail: 'b' },
    { action: 'ask_former_member', memberId: 'a' },
  ],
  [
    'a link that its upstream does not stand behind is mended by its member',
    { linkedTo: 'a', acting: 'a', needsRelink: true },
    { action: 'relink', memberId: 'a' },
  ],
  [
    'and by nobody else',
    { linkedTo: 'a', acting: 'b', needsRelink: true },
    { action: 'refuse', reason: 'linked_to_another_member' },
  ],
  [
    'who comes from the upstream itself is signed in by it',
    { linkedTo: 'a', needsRelink: true },
    { action: 'sign_in', memberId: 'a' },
  ],
  ['what is linked already stays so', { linkedTo: 'a', acting: 'a' }, { action: 'already_linked' }],
  ['a linked identity signs its member in', { linkedTo: 'a' }, { action: 'sign_in', memberId: 'a' }],
  [
    "a linked identity signs its own member in, whoever's address it names",
    { linkedTo: 'a', sameEmail: 'b' },
    { action: 'sign_in', memberId: 'a' },
  ],
  ['somebody unknown may become a member', {}, { action: 'register' }],
])('%s', (_, facts, decision) => {
  expect(decideLink({ ...nobody, ...facts })).toEqual(decision)
})
