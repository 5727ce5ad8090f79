import { expect, test } from 'vitest'
import { campaignState } from '../../src/linking/campaigns/campaign.ts'
import { decideReward, type RewardFacts } from '../../src/linking/campaigns/decide.ts'

const first: RewardFacts = {
  campaign: 'running',
  way: 'account_page',
  memberLinkedBefore: false,
  identityLinkedBefore: false,
  rewardedBefore: false,
}

test.each<[string, Partial<RewardFacts>, ReturnType<typeof decideReward>]>([
  ['a first link in a running campaign is rewarded', {}, { action: 'grant' }],
  ['so is one that a relying party asked for', { way: 'client_request' }, { action: 'grant' }],
  ['without a campaign there is nothing', { campaign: undefined }, withheld('no_campaign')],
  ['nor before it starts', { campaign: 'ahead' }, withheld('no_campaign')],
  ['nor when it is over', { campaign: 'over' }, withheld('no_campaign')],
  ['nor when it was ended', { campaign: 'disabled' }, withheld('no_campaign')],
  ['a spent budget gives nothing', { campaign: 'exhausted' }, withheld('exhausted')],
  ['a member who linked before earns nothing', { memberLinkedBefore: true }, withheld('linked_before')],
  [
    'an account that was linked before earns nothing',
    { identityLinkedBefore: true },
    withheld('linked_before'),
  ],
  ['who was rewarded earns nothing again', { rewardedBefore: true }, withheld('linked_before')],
  [
    'who could not have earned it is not told that others were faster',
    { campaign: 'exhausted', memberLinkedBefore: true },
    withheld('linked_before'),
  ],
  ['what an operator links earns nothing', { way: 'management' }, withheld('not_by_member')],
  ['nor does an import', { way: 'import' }, withheld('not_by_member')],
])('%s', (_, facts, decision) => {
  expect(decideReward({ ...first, ...facts })).toEqual(decision)
})

function withheld(because: 'no_campaign' | 'exhausted' | 'linked_before' | 'not_by_member') {
  return { action: 'withhold' as const, because }
}

const at = (day: number) => new Date(Date.UTC(2027, 3, day))
const campaign = {
  ...{ id: 'spring', connectionId: 'line', amount: 100, unit: 'point', budget: 2, granted: 0 },
  ...{ startsAt: at(10), endsAt: at(20), createdAt: at(1), updatedAt: at(1), disabledAt: null },
}

test.each([
  ['is ahead until it starts', {}, new Date(at(10).getTime() - 1), 'ahead'],
  ['runs from its first moment', {}, at(10), 'running'],
  ['runs to the moment before its end', {}, new Date(at(20).getTime() - 1), 'running'],
  ['is over at its end', {}, at(20), 'over'],
  ['is exhausted when all was granted', { granted: 2 }, at(10), 'exhausted'],
  ['is over rather than exhausted', { granted: 2 }, at(20), 'over'],
  ['without a budget is never exhausted', { granted: 1_000, budget: null }, at(10), 'running'],
  ['that was ended is ended, whatever the time', { disabledAt: at(2) }, at(10), 'disabled'],
] as const)('a campaign %s', (_, change, now, state) => {
  expect(campaignState({ ...campaign, ...change }, now)).toBe(state)
})
