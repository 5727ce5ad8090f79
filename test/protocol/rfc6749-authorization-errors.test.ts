import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser, type Page } from '../support/browser.ts'
import { givenClient } from '../support/given.ts'
import { begin, type RelyingParty, relyingParty } from '../support/relying-party.ts'

let server: TestApp
let party: RelyingParty
beforeAll(async () => {
  server = await startTestApp()
  party = await relyingParty(server, await givenClient(server))
})
afterAll(() => server.close())

async function ask(parameters: Record<string, string>): Promise<Page> {
  const browser = openBrowser()
  browser.stopAt(party.redirectUri)
  return browser.open((await begin(party, parameters)).url)
}

describe('RFC 6749 section 4.1.2.1: the relying party is told', () => {
  function answerIn(url: URL): Record<string, string> {
    expect(url.href.startsWith(party.redirectUri)).toBe(true)
    return Object.fromEntries([...url.searchParams, ...new URLSearchParams(url.hash.slice(1))])
  }

  const cancelled = async (): Promise<Page> => {
    const browser = openBrowser()
    browser.stopAt(party.redirectUri)
    return browser.submit(await browser.open((await begin(party, { state: 'the state' })).url), '/cancel')
  }

  test.each<[string, Record<string, string>]>([
    ['unsupported_response_type', { response_type: 'id_token' }],
    ['unsupported_response_mode', { response_mode: 'smoke' }],
    ['invalid_request', { prompt: 'none login' }],
    ['invalid_request', { max_age: 'soon' }],
    ['invalid_request', { code_challenge: '' }],
    ['invalid_request', { claims: '{' }],
    ['invalid_request', { id_token_hint: 'nonsense' }],
    ['invalid_scope', { scope: 'openid linked_accounts' }],
    ['invalid_target', { resource: 'https://nobody.example.com/' }],
    ['invalid_request_object', { request: 'nonsense' }],
    ['login_required', { prompt: 'none' }],
  ])('%s of %j: error, description, state and iss', async (error, parameters) => {
    const answer = answerIn((await ask({ state: 'the state', ...parameters })).url)
    expect(answer).toMatchObject({ error, state: 'the state', iss: server.issuer })
    expect(answer.error_description).toMatch(/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/)
    expect(answer).not.toHaveProperty('code')
  })

  test.each([
    ['request_uri_not_supported', 'request_uri', 'https://other.example.org/request'],
    ['registration_not_supported', 'registration', '{}'],
  ])('%s, which says it all', async (error, name, value) => {
    const answer = answerIn((await ask({ state: 'the state', [name]: value })).url)
    expect(answer).toEqual({ error, state: 'the state', iss: server.issuer })
  })

  test('that a parameter is missing', async () => {
    const { url } = await begin(party, { state: 'the state' })
    url.searchParams.delete('response_type')
    const browser = openBrowser()
    browser.stopAt(party.redirectUri)
    const answer = answerIn((await browser.open(url)).url)
    expect(answer).toMatchObject({ error: 'invalid_request', state: 'the state', iss: server.issuer })
    expect(answer.error_description).toContain('response_type')
  })

  test('that the member cancelled', async () => {
    expect(answerIn((await cancelled()).url)).toMatchObject({
      error: 'access_denied',
      state: 'the state',
      iss: server.issuer,
    })
  })
})
