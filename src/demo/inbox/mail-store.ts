import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'

const message = z.object({
  id: z.string(),
  receivedAt: z.string(),
  from: z.string(),
  /** Envelope recipients in lower case: who really gets it, whatever the To header says. */
  to: z.array(z.string()),
  subject: z.string(),
  text: z.string(),
  html: z.string().nullable(),
})

export type Message = z.infer<typeof message>

export interface MailStore {
  /** Newest first. */
  list(to?: string): Message[]
  find(id: string): Message | undefined
  /** Resolves once the mail is on disk, when there is a disk to be on. */
  add(mail: Message): Promise<void>
  clear(): Promise<void>
}

const maxMessages = 500

/** Keeps the newest 500 mails in memory and, with a path, in one JSON file that a second start reads. */
export async function openMailStore(statePath: string | undefined): Promise<MailStore> {
  const messages = statePath ? await readMessages(statePath) : []
  let writing: Promise<void> = Promise.resolve()

  function save(): Promise<void> {
    if (!statePath) return Promise.resolve()
    // One write at a time, each of the newest state; a failed write fails its own mail only.
    writing = writing.catch(() => undefined).then(() => writeMessages(statePath, messages))
    return writing
  }

  return {
    list: (to) =>
      to === undefined ? [...messages] : messages.filter((m) => m.to.includes(to.toLowerCase())),
    find: (id) => messages.find((candidate) => candidate.id === id),
    add(mail) {
      messages.unshift(mail)
      messages.length = Math.min(messages.length, maxMessages)
      return save()
    },
    clear() {
      messages.length = 0
      return save()
    },
  }
}

async function readMessages(path: string): Promise<Message[]> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '[]'
    throw error
  })
  return z.array(message).parse(JSON.parse(text))
}

/** Write beside, then rename: a reader never sees half a file. */
async function writeMessages(path: string, messages: Message[]): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(`${path}.new`, JSON.stringify(messages, null, 1), { mode: 0o600 })
  await rename(`${path}.new`, path)
}
