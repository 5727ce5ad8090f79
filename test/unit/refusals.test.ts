import { errors } from 'oidc-provider'
import { expect, test } from 'vitest'
import { dropStacksOfRefusals } from '../../src/oidc/refusals.ts'

test('a refusal of the engine looks not where it came from, and any other error does', () => {
  dropStacksOfRefusals()
  dropStacksOfRefusals()
  const refusal = new errors.InvalidToken('expired')
  expect(refusal).toBeInstanceOf(errors.OIDCProviderError)
  expect(refusal).toBeInstanceOf(Error)
  expect(refusal).toMatchObject({ message: 'invalid_token', error_detail: 'expired', status: 401 })
  expect(refusal.stack?.includes('\n    at ')).not.toBe(true)
  expect(new TypeError('a bug').stack).toMatch(/\n {4}at .*refusals\.test/)
  const other = { stack: '' }
  Error.captureStackTrace(other)
  expect(other.stack).toMatch(/\n {4}at .*refusals\.test/)
})
