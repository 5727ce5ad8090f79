import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { exportJWK, generateKeyPair } from 'jose'
import { z } from 'zod'

const account = z.object({
  sub: z.string(),
  email: z.string(),
  emailVerified: z.boolean(),
  name: z.string(),
  passwordHash: z.string(),
})

const state = z.object({
  accounts: z.array(account),
  signingKeys: z.array(z.looseObject({ kty: z.string() })),
  cookieKeys: z.array(z.string()),
})

export type StoreAccount = z.infer<typeof account>
export type StoreState = z.infer<typeof state>

export interface StateFile {
  state: StoreState
  /** Resolves once the present state is on disk, when there is a disk to be on. */
  save(): Promise<void>
}

/** Opens the store's memory, or starts a new one with fresh keys and no accounts. */
export async function openState(path: string | undefined): Promise<StateFile> {
  const current = (path && (await readState(path))) || (await newState())
  let writing: Promise<void> = Promise.resolve()
  return {
    state: current,
    save() {
      if (!path) return Promise.resolve()
      // One write at a time, each of the newest state; a failed write fails its own caller only.
      writing = writing.catch(() => undefined).then(() => writeState(path, current))
      return writing
    },
  }
}

async function newState(): Promise<StoreState> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  const key = { ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig' }
  return {
    accounts: [],
    signingKeys: [z.looseObject({ kty: z.string() }).parse(key)],
    cookieKeys: [randomBytes(32).toString('base64url')],
  }
}

async function readState(path: string): Promise<StoreState | undefined> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  return text === undefined ? undefined : state.parse(JSON.parse(text))
}

/** Write beside, then rename: a reader never sees half a file. It holds private keys, so it is ours alone. */
async function writeState(path: string, current: StoreState): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(`${path}.new`, JSON.stringify(current, null, 1), { mode: 0o600 })
  await rename(`${path}.new`, path)
}
