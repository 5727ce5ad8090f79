import { expect, test } from 'vitest'
import { type Confirmation, judgeConfirmation } from '../../src/linking/messaging/confirmation.ts'

const userId = `U${'1'.repeat(32)}`
const expiresAt = Date.parse('2026-04-01T00:10:00Z')

const confirmation: Confirmation = {
  ...{ transactionId: 'transaction', browser: 'browser', expiresAt },
  agreed: {
    ...{ memberId: 'member', connectionId: 'line', way: 'line_message', purpose: 'link' },
    identity: {
      ...{ connectionId: 'line', issuer: 'https://access.line.me', subject: userId },
      ...{ profile: {}, emailVerified: false },
    },
    consent: {
      ...{ connection: 'LINE', account: undefined, received: ['subject'], shared: [], sharedWith: [] },
      ...{ termsVersion: '1', terms: undefined, consentDays: undefined, locale: 'ja' },
    },
  },
}

const event = (said: Partial<{ result: 'ok' | 'failed'; by: string | undefined }> = {}) => {
  const { result = 'ok' } = said
  const by = 'by' in said ? said.by : userId
  return {
    ...({ type: 'accountLink', mode: 'active', webhookEventId: 'event', timestamp: expiresAt } as const),
    ...(by && { source: { type: 'user', userId: by } }),
    link: { result, nonce: 'a nonce of one agreement' },
  }
}

const notice = { connectionId: 'line', receivedAt: new Date(expiresAt) }
const verdictOf = (...[given, said, told]: Parameters<typeof judgeConfirmation>) => {
  const verdict = judgeConfirmation(given, said, told)
  return verdict.action === 'refuse' ? verdict.reason : verdict.action
}

test('LINE’s ok for the person who asked links, to the last moment of the nonce', () => {
  expect(verdictOf(confirmation, event(), notice)).toBe('link')
})

test.each([
  ['no agreement', undefined, event(), notice, 'line_confirmation_unknown'],
  [
    'another connection',
    confirmation,
    event(),
    { ...notice, connectionId: 'line2' },
    'line_confirmation_unknown',
  ],
  [
    'a check that failed',
    confirmation,
    event({ result: 'failed', by: undefined }),
    notice,
    'line_account_differs',
  ],
  [
    'a failed check that names the right person',
    confirmation,
    event({ result: 'failed' }),
    notice,
    'line_account_differs',
  ],
  ['another person', confirmation, event({ by: `U${'2'.repeat(32)}` }), notice, 'line_account_differs'],
  ['nobody', confirmation, event({ by: undefined }), notice, 'line_account_differs'],
  [
    'a word that came too late',
    confirmation,
    event(),
    { ...notice, receivedAt: new Date(expiresAt + 1) },
    'line_confirmation_over',
  ],
] as const)('%s links nothing', (_, given, said, told, reason) => {
  expect(verdictOf(given, said, told)).toBe(reason)
})
