import { expect, test } from 'vitest'
import type { Attempt } from '../../src/connections/connector.ts'
import { lineKind } from '../../src/connections/kinds/line.ts'
import { connectionSettings } from '../../src/connections/settings.ts'

const attempt: Attempt = {
  redirectUri: 'https://id.example.com/connections/line/callback',
  state: 'state',
  nonce: 'nonce',
  codeVerifier: 'verifier',
  locale: 'ja',
  forceSignIn: false,
  isRetry: false,
}

test('an address that LINE names is never believed: it has no email_verified claim', () => {
  expect(lineKind.settings.trustEmail).toBe(false)
})

test('only HS256 with the channel secret is taken, the one algorithm of LINE web login', () => {
  expect(lineKind.settings).toMatchObject({
    idTokenSigningAlg: 'HS256',
    clientAuthentication: 'client_secret_post',
  })
})

test('its settings are settings any connection could have', () => {
  expect(connectionSettings.parse(lineKind.settings)).toEqual(lineKind.settings)
})

test('auto login is left on at first and off once it has come back in another browser', () => {
  expect(lineKind.authorizationParams?.(attempt)).toEqual({})
  expect(lineKind.authorizationParams?.({ ...attempt, isRetry: true })).toEqual({
    disable_auto_login: 'true',
  })
})
