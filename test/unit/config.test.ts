import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { ConfigError, loadConfig } from '../../src/config/config.ts'
import { developmentKeys } from '../../src/config/development-keys.ts'
import { systemRandom } from '../../src/security/random.ts'

const key = 'k'.repeat(32)
const generated = { SECRET_KEYS: ['made here'], COOKIE_KEYS: ['made here too'] }
const production = {
  NODE_ENV: 'production',
  ISSUER: 'https://id.example.com',
  DATABASE_URL: 'postgresql://db.example.com/hitotsu',
  REDIS_URL: 'rediss://redis.example.com',
  SECRET_KEYS: key,
  COOKIE_KEYS: key,
  SMTP_URL: 'smtps://mail.example.com',
}

function faultsOf(env: Record<string, string | undefined>): readonly string[] {
  try {
    loadConfig(env, () => generated)
  } catch (error) {
    if (error instanceof ConfigError) return error.faults
    throw error
  }
  return []
}

test('every fault is reported at once, malformed settings and those production demands alike', () => {
  const env = {
    NODE_ENV: 'production',
    PORT: 'http',
    ISSUER: 'http://id.example.com',
    SECRET_KEYS: 'short',
    LOG_LEVEL: 'loud',
  }
  const names = faultsOf(env).map((fault) => fault.split(':')[0]?.split('.')[0])
  expect(names.sort()).toEqual(
    [
      'COOKIE_KEYS',
      'DATABASE_URL',
      'ISSUER',
      'LOG_LEVEL',
      'PORT',
      'REDIS_URL',
      'SECRET_KEYS',
      'SMTP_URL',
    ].sort(),
  )
})

test('the message of a refused configuration holds every fault and no value of a key', () => {
  const secret = 'too short to be a key'
  const env = { ...production, SECRET_KEYS: secret, PORT: '70000' }
  expect(() => loadConfig(env, () => generated)).toThrow(/SECRET_KEYS[\s\S]*PORT|PORT[\s\S]*SECRET_KEYS/)
  expect(faultsOf(env).join()).not.toContain(secret)
})

test.each(['DATABASE_URL', 'REDIS_URL', 'SECRET_KEYS', 'COOKIE_KEYS', 'SMTP_URL'] as const)(
  'production does not start without %s, and an empty one is none',
  (name) => {
    expect(faultsOf({ ...production, [name]: undefined })).toEqual([`${name}: required in production`])
    expect(faultsOf({ ...production, [name]: '' })).toEqual([`${name}: required in production`])
  },
)

test.each([undefined, '', 'http://id.example.com', 'http://localhost:3000'])(
  'production does not start with the issuer %s',
  (ISSUER) => {
    expect(faultsOf({ ...production, ISSUER })).toEqual(['ISSUER: must be https in production'])
  },
)

test.each([
  'id.example.com',
  'https://id.example.com/',
  'https://id.example.com/path',
  'https://id.example.com?x=1',
  'https://id.example.com#x',
  'ftp://id.example.com',
  'https://ID.example.com',
  'https://id.example.com:443',
  'https://member:secret@id.example.com',
])('%s is no issuer', (ISSUER) => {
  expect(faultsOf({ ISSUER })).toHaveLength(1)
})

test.each([
  ['PORT', '-1'],
  ['PORT', '80.5'],
  ['TRUST_PROXY', 'true'],
  ['DATABASE_URL', 'mysql://db.example.com/x'],
  ['REDIS_URL', 'http://redis.example.com'],
  ['REDIS_URL', 'redis://one.example.com,two.example.com'],
  ['COOKIE_KEYS', `${key},short`],
  ['SECRET_KEYS', ' , '],
  ['PASSWORD_MIN_LENGTH', '7'],
  ['NODE_ENV', 'staging'],
])('%s may not be %s', (name, value) => {
  expect(faultsOf({ [name]: value }).map((fault) => fault.split(/[.:]/)[0])).toEqual([name])
})

test('a complete production configuration is taken as it is, and nothing is made up for it', () => {
  const config = loadConfig(
    { ...production, REDIS_URL: 'redis://a:1, redis://b:2', SECRET_KEYS: `${key}1,${key}2` },
    () => {
      throw new Error('keys were made')
    },
  )
  expect(config).toMatchObject({
    REDIS_URL: ['redis://a:1', 'redis://b:2'],
    SECRET_KEYS: [`${key}1`, `${key}2`],
    COOKIE_KEYS: [key],
  })
})

test('an empty value counts as unset', () => {
  const empty = Object.fromEntries(
    ['PORT', 'ISSUER', 'REDIS_URL', 'SECRET_KEYS', 'HOST', 'TRUST_PROXY'].map((name) => [name, '']),
  )
  expect(loadConfig(empty, () => generated)).toEqual(loadConfig({}, () => generated))
})

test('keys given are used beside keys made', () => {
  const config = loadConfig({ COOKIE_KEYS: key }, () => generated)
  expect(config).toMatchObject({ COOKIE_KEYS: [key], SECRET_KEYS: generated.SECRET_KEYS })
})

test('a configuration cannot be changed', () => {
  expect(Object.isFrozen(loadConfig({}, () => generated))).toBe(true)
})

test('development keys are made once for a data folder, and only their owner may read them', async () => {
  const parent = await mkdtemp(join(tmpdir(), 'hitotsu-keys-'))
  onTestFinished(() => rm(parent, { recursive: true }))
  const folder = join(parent, 'not', 'there')
  const keys = developmentKeys(folder, systemRandom)
  expect(developmentKeys(folder, systemRandom)).toEqual(keys)
  expect(developmentKeys(join(parent, 'other'), systemRandom)).not.toEqual(keys)
  expect((await stat(join(folder, 'keys.json'))).mode & 0o777).toBe(0o600)
  expect(keys.SECRET_KEYS[0]?.length).toBeGreaterThanOrEqual(32)
})

test('a certificate in a header is taken from a proxy alone', () => {
  const header = { CLIENT_CERTIFICATE_HEADER: 'Client-Cert' }
  expect(faultsOf(header)).toEqual([expect.stringMatching(/^CLIENT_CERTIFICATE_HEADER: .*TRUST_PROXY/)])
  expect(faultsOf({ ...header, TRUST_PROXY: '1' })).toEqual([])
})

test('a word on certificates says nothing where there are none', () => {
  const env = { CLIENT_CERTIFICATE_VERIFIED_HEADER: 'X-Verified', TRUST_PROXY: '1' }
  expect(faultsOf(env)).toEqual([expect.stringMatching(/^CLIENT_CERTIFICATE_VERIFIED_HEADER: /)])
})

test.each(['Client Cert', 'a:b', 'ü'])('%s is no name of a header', (name) => {
  const faults = faultsOf({ CLIENT_CERTIFICATE_HEADER: name, TRUST_PROXY: '1' })
  expect(faults).toEqual(['CLIENT_CERTIFICATE_HEADER: the name of a header'])
})
