import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { z } from 'zod'
import type { StateFile, StoreAccount } from './state.ts'

/** The password of every account the demo starts with. It is meant to be shown. */
export const demoPassword = 'demo-store-pass'

const seeds = [
  { sub: 'ec-1001', email: 'shopper@example.com', emailVerified: true, name: 'Store Member 1001' },
  // The same address as a member of the identity provider: an equal e-mail must never link by itself.
  { sub: 'ec-1002', email: 'member@example.com', emailVerified: true, name: 'Store Member 1002' },
  { sub: 'ec-1003', email: 'gift@example.com', emailVerified: false, name: 'Store Member 1003' },
]

export const demoEmails = seeds.map((seed) => seed.email)

const signUpForm = z.object({
  name: z.string().trim().min(1).max(60),
  email: z.string().trim().toLowerCase().pipe(z.email()),
  password: z.string().min(8).max(200),
})

export type SignUpField = keyof z.infer<typeof signUpForm>

export type SignUpOutcome =
  | { outcome: 'created'; account: StoreAccount }
  | { outcome: 'invalid'; fields: SignUpField[] }
  | { outcome: 'email_taken' }

export interface Accounts {
  find(sub: string): StoreAccount | undefined
  authenticate(email: string, password: string): Promise<StoreAccount | undefined>
  signUp(form: unknown): Promise<SignUpOutcome>
}

/** The store's own accounts, from before there was a central member ID. */
export async function openAccounts(file: StateFile): Promise<Accounts> {
  const { accounts } = file.state
  if (accounts.length === 0) {
    const passwordHash = await hashPassword(demoPassword)
    accounts.push(...seeds.map((seed) => ({ ...seed, passwordHash })))
    await file.save()
  }
  const nobody = await hashPassword(randomBytes(16).toString('hex'))

  return {
    find: (sub) => accounts.find((account) => account.sub === sub),
    async authenticate(email, password) {
      const account = accounts.find((candidate) => candidate.email === email.trim().toLowerCase())
      // An unknown address costs as much time as a wrong password.
      const matches = await verifyPassword(account?.passwordHash ?? nobody, password)
      return matches ? account : undefined
    },
    async signUp(form) {
      const parsed = signUpForm.safeParse(form)
      if (!parsed.success) return { outcome: 'invalid', fields: invalidFields(parsed.error) }
      const { name, email, password } = parsed.data
      const passwordHash = await hashPassword(password)
      if (accounts.some((account) => account.email === email)) return { outcome: 'email_taken' }
      const account = { sub: nextSub(accounts), email, emailVerified: false, name, passwordHash }
      accounts.push(account)
      await file.save()
      return { outcome: 'created', account }
    },
  }
}

function invalidFields(error: z.ZodError): SignUpField[] {
  const paths = new Set(error.issues.map((issue) => issue.path[0]))
  return (['name', 'email', 'password'] as const).filter((field) => paths.size === 0 || paths.has(field))
}

function nextSub(accounts: StoreAccount[]): string {
  const numbers = accounts.map((account) => Number(account.sub.replace('ec-', '')))
  return `ec-${Math.max(1000, ...numbers) + 1}`
}

const derive = promisify<string, Buffer, number, Buffer>(scrypt)

async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16)
  const key = await derive(password, salt, 32)
  return `${salt.toString('base64url')}.${key.toString('base64url')}`
}

async function verifyPassword(hash: string, password: string): Promise<boolean> {
  const [salt = '', key = ''] = hash.split('.')
  const presented = await derive(password, Buffer.from(salt, 'base64url'), 32)
  return timingSafeEqual(presented, Buffer.from(key, 'base64url'))
}
