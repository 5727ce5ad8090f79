import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { disableConnection } from '../../src/connections/connection.ts'
import { inTransaction } from '../../src/store/db.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { claims } from '../support/consent.ts'
import { givenClient, givenConnection, givenIdentity, givenMember } from '../support/given.ts'
import { send } from '../support/post.ts'
import { relyingParty, signIn } from '../support/relying-party.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
})
afterAll(() => server.close())

const account = z.object({ issuer: z.string(), subject: z.string() })

interface Case {
  right: 'discloses' | 'vouches' | 'handsOut' | 'none'
  asks: 'scope' | 'claim' | 'nothing'
  disabled: boolean
}

const allCases = (['discloses', 'vouches', 'handsOut', 'none'] as const).flatMap((right) =>
  (['scope', 'claim', 'nothing'] as const).flatMap((asks) =>
    [false, true].map((disabled): Case => ({ right, asks, disabled })),
  ),
)
const isTold = ({ right, asks, disabled }: Case) => right === 'discloses' && asks !== 'nothing' && !disabled

/** What a client in this case is told of a member who has an account at the connection, the second time they come. */
async function told({ right, asks, disabled }: Case): Promise<unknown> {
  const { id } = await givenConnection(server)
  const client = await givenClient(server, {
    scopes: ['openid', 'linked_accounts'],
    ...(right === 'discloses' && { connections: [id] }),
    ...(right === 'vouches' && { vouchConnections: [id] }),
    ...(right === 'handsOut' && { tokenConnections: [id] }),
  })
  const party = await relyingParty(server, client)
  const member = await givenMember(server)
  await givenIdentity(server, { memberId: member.id, connectionId: id })
  const parameters = {
    ...(asks === 'scope' && { scope: 'openid linked_accounts' }),
    ...(asks === 'claim' && { claims: claims(['linked_accounts'], 'id_token') }),
  }
  const browser = openBrowser()
  await signIn(party, browser, member, parameters)
  if (disabled) await inTransaction(server.db, (tx) => disableConnection(tx, id, server.now()))
  const tokens = await signIn(party, openBrowser(), member, parameters)
  return tokens.claims()?.linked_accounts
}

describe('a linked account is told to a client', () => {
  test.each(allCases.filter(isTold))('that sees the connection and asks by $asks', async (given) => {
    expect(await told(given)).toMatchObject([{ status: 'linked' }])
  })

  test.each(allCases.filter((given) => !isTold(given)))(
    'and to no other: right $right, asked by $asks, disabled $disabled',
    async (given) => {
      const accounts = await told(given)
      expect(accounts === undefined || (Array.isArray(accounts) && accounts.length === 0)).toBe(true)
    },
  )

  test('of a connection that is disclosed pairwise by a name that is the client’s own, and always the same', async () => {
    const connection = await givenConnection(server, { settings: { disclosure: 'pairwise' } })
    const member = await givenMember(server)
    const { subject } = await givenIdentity(server, { memberId: member.id, connectionId: connection.id })
    const input = { scopes: ['openid', 'linked_accounts'], connections: [connection.id] }
    const [one, two] = [await givenClient(server, input), await givenClient(server, input)]
    const visit = async (client: typeof one) => {
      const party = await relyingParty(server, client)
      const tokens = await signIn(party, openBrowser(), member, { scope: 'openid linked_accounts' })
      return { account: z.array(account).parse(tokens.claims()?.linked_accounts)[0], tokens }
    }
    const first = await visit(one)
    expect(first.account).toEqual({ issuer: server.issuer, subject: expect.stringMatching(/^[\w-]{20,}$/) })
    expect(first.account?.subject).not.toContain(subject)
    const other = await visit(two)
    expect(other.account?.subject).not.toBe(first.account?.subject)
    expect((await visit(one)).account).toEqual(first.account)
    // Of any number who ask first at the same time, all get one name.
    await server.db.pairwiseAccount.deleteMany({ where: { name: other.account?.subject ?? '' } })
    const headers = { authorization: `Bearer ${other.tokens.access_token}` }
    const raced = await Promise.all(
      Array.from({ length: 8 }, async () => (await send(`${server.issuer}/userinfo`, { headers })).json),
    )
    const names = raced.map(({ linked_accounts: accounts }) => z.array(account).parse(accounts)[0]?.subject)
    expect(new Set(names).size).toBe(1)
    expect(names[0]).not.toBe(other.account?.subject)
  })
})
