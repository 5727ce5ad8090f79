import { describe, expect, test } from 'vitest'
import { type ChoiceFacts, decideChoices } from '../../src/linking/conflict/choices.ts'
import { decideOwnerProof, type ProofFacts } from '../../src/linking/conflict/proof.ts'
import { ways } from '../../src/linking/way.ts'

const good: ProofFacts = {
  way: 'account_page',
  isRecent: true,
  allowSignIn: true,
  ownerStatus: 'active',
  signedInAsOwner: false,
}
const unproved = (reason: string) => ({ proved: false, reason })

describe("the owner's side", () => {
  test('is proved by the account alone when it signs in and was proved just now', () => {
    expect(decideOwnerProof(good)).toEqual({ proved: true, by: 'account' })
  })

  test.each([
    ['vouched for by a relying party', { way: 'link_ticket' }, 'vouched_for'],
    ['vouched for by a chat', { way: 'line_message' }, 'vouched_for'],
    ['proved on another device', { way: 'qr_code' }, 'vouched_for'],
    ['proved in an application, which opens an address here', { way: 'app_token' }, 'vouched_for'],
    ['of a connection that only links', { allowSignIn: false }, 'link_only'],
    ['proved a while ago', { isRecent: false }, 'too_old'],
  ] as const)('is not proved by an account %s', (_, change, reason) => {
    expect(decideOwnerProof({ ...good, ...change })).toEqual(unproved(reason))
  })

  test.each(
    ways.flatMap((way) =>
      [true, false].flatMap((allowSignIn) =>
        [true, false].map((isRecent) => ({ way, allowSignIn, isRecent })),
      ),
    ),
  )('is proved by signing in to it, whatever the account proves: $way $allowSignIn $isRecent', (facts) => {
    const proof = decideOwnerProof({ ...good, ...facts, signedInAsOwner: true })
    expect(proof).toEqual({ proved: true, by: 'sign_in' })
  })

  test.each(['suspended', 'deleted', 'absorbed'] as const)(
    'is never proved while the owner is %s, which only who has proved to be the owner is told',
    (ownerStatus) => {
      const unavailable = unproved('owner_unavailable')
      expect(decideOwnerProof({ ...good, ownerStatus })).toEqual(unavailable)
      expect(decideOwnerProof({ ...good, ownerStatus, signedInAsOwner: true })).toEqual(unavailable)
      for (const change of [{ way: 'link_ticket' }, { allowSignIn: false }, { isRecent: false }] as const)
        expect(decideOwnerProof({ ...good, ...change, ownerStatus })).toEqual(
          decideOwnerProof({ ...good, ...change }),
        )
    },
  )
})

describe('a claimant', () => {
  const facts: ChoiceFacts = {
    proof: { proved: true, by: 'account' },
    isOwnersLastWay: false,
    hasAnotherIdentity: false,
  }

  test('who has not proved both sides may ask an operator, and nothing else', () => {
    const proof = { proved: false, reason: 'link_only' } as const
    for (const isOwnersLastWay of [true, false])
      for (const hasAnotherIdentity of [true, false])
        expect(decideChoices({ proof, isOwnersLastWay, hasAnotherIdentity })).toEqual({
          move: 'owner_not_proved',
          merge: 'owner_not_proved',
          raise: true,
        })
  })

  test.each([
    [{}, 'offered'],
    [{ isOwnersLastWay: true }, 'owners_last_way'],
    [{ hasAnotherIdentity: true }, 'another_identity_linked'],
    [{ isOwnersLastWay: true, hasAnotherIdentity: true }, 'another_identity_linked'],
  ] as const)('who has, with %j, may move: %s', (change, move) => {
    expect(decideChoices({ ...facts, ...change })).toEqual({ move, merge: 'offered', raise: false })
  })
})
