import { randomBytes } from 'node:crypto'
import { texts } from '../../src/demo/store/language.ts'
import type { Visitor } from '../support/chromium.ts'
import type { World } from '../support/world.ts'
import { press } from './at-hitotsu.ts'

export interface StoreAccount {
  email: string
  password: string
}

/** An account of the store's own, from before there was a member ID. */
export async function givenStoreAccount(world: World): Promise<StoreAccount> {
  const account = {
    email: `shopper-${randomBytes(4).toString('hex')}@example.com`,
    password: 'walnut tray 7',
  }
  const body = new URLSearchParams({ name: 'Store shopper', ...account })
  const response = await fetch(`${world.store.url}/store-account/sign-up`, { method: 'POST', body })
  if (response.status !== 200) throw new Error(`the store answered ${response.status}`)
  return account
}

/** With the store's own account, when the store is asked to vouch for it. */
export async function signInWithStoreAccount(visitor: Visitor, account: StoreAccount): Promise<void> {
  const text = texts[visitor.locale]
  await visitor.page.getByLabel(text.email).fill(account.email)
  await visitor.page.getByLabel(text.password).fill(account.password)
  await press(visitor, text.accountSignInButton)
}

export const agreeAtStore = (visitor: Visitor) => press(visitor, texts[visitor.locale].agree)
export const declineAtStore = (visitor: Visitor) => press(visitor, texts[visitor.locale].decline)

/** From the shop's front page, with the member ID: the issuer's page comes next. */
export async function enterWithMemberId(visitor: Visitor, world: World): Promise<void> {
  await visitor.open(world.store.url)
  await visitor.press(visitor.page.getByRole('link', { name: texts[visitor.locale].signIn, exact: true }))
}

export const refreshMyPage = (visitor: Visitor) => press(visitor, texts[visitor.locale].refresh)

/** What My page says it was told, and by what: one line for each linked account. */
export async function accountsOnMyPage(visitor: Visitor): Promise<string[]> {
  const text = texts[visitor.locale]
  const rows = await visitor.page.locator('table.linked tbody tr').all()
  return Promise.all(
    rows.map(async (row) => {
      const connection = await row.locator('strong').innerText()
      const sources = await row.locator('.badge').allInnerTexts()
      const known: Record<string, string> = {
        [text.sourceIdToken]: 'id_token',
        [text.sourceUserinfo]: 'userinfo',
      }
      return [connection, ...sources.map((source) => known[source] ?? source)].join(' ')
    }),
  )
}
