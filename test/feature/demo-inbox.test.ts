import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTransport, type SendMailOptions } from 'nodemailer'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Inbox, startInbox } from '../../src/demo/inbox/inbox.ts'
import { parseMail } from '../../src/demo/inbox/parse-mail.ts'

const subject = '【デモストア】メールアドレスの確認をお願いします（とても長い件名でも一文字も欠けません）'
const letter = {
  from: '"ひとつ 会員センター" <no-reply@example.com>',
  to: 'Member@example.com',
  subject,
  text: 'こんにちは。\n確認コードは 123456 です。\nhttps://id.example.com/verify?code=a=b&x=1\n',
  html: '<p>確認コードは <b>123456</b> です。</p><script>document.title="owned"</script>',
}

let inbox: Inbox
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inbox-'))
  inbox = await startInbox({ smtpPort: 0, httpPort: 0, statePath: join(folder, 'mail.json') })
})

afterEach(async () => {
  await inbox.close()
  await rm(folder, { recursive: true })
})

async function send(mail: SendMailOptions): Promise<void> {
  const transport = createTransport(inbox.smtpUrl)
  await transport.sendMail(mail)
  transport.close()
}

async function getPage(path: string, language = 'en'): Promise<string> {
  const response = await fetch(new URL(path, inbox.url), { headers: { 'Accept-Language': language } })
  return response.text()
}

describe('what the inbox refuses', () => {
  test('a mail over one mebibyte is refused and not kept', async () => {
    await expect(send({ ...letter, text: 'x'.repeat(1024 * 1024) })).rejects.toThrow(/552|size/i)
    expect(inbox.messages()).toEqual([])
  })

  test('a form of another site cannot delete the mail', async () => {
    await send(letter)
    const answer = await fetch(new URL('/clear', inbox.url), {
      method: 'POST',
      headers: { Origin: 'https://elsewhere.example' },
    })
    expect(answer.status).toBe(403)
    expect(inbox.messages()).toHaveLength(1)
  })

  test("a mail's script reaches the page only as inert text of a sandboxed frame", async () => {
    await send(letter)
    const [message] = inbox.messages()
    const response = await fetch(new URL(`/messages/${message?.id}`, inbox.url))
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'")
    const page = await response.text()
    expect(page).not.toContain('<script')
    expect(page).toContain('sandbox="allow-popups allow-popups-to-escape-sandbox"')
  })
})

describe('what the inbox shows', () => {
  test('a Japanese mail with text and HTML arrives as it was written', async () => {
    await send(letter)
    expect(inbox.messages()).toEqual([
      {
        id: expect.any(String),
        receivedAt: expect.any(String),
        from: 'ひとつ 会員センター <no-reply@example.com>',
        to: ['member@example.com'],
        subject,
        text: expect.stringContaining('https://id.example.com/verify?code=a=b&x=1'),
        html: expect.stringContaining('<b>123456</b>'),
      },
    ])
  })

  test.each(['base64', 'quoted-printable'] as const)('a body in %s is decoded', async (textEncoding) => {
    await send({ ...letter, textEncoding })
    expect(inbox.messages()[0]?.text.replaceAll('\r', '')).toBe(letter.text)
  })

  test('an attachment is not taken for the text of the mail', async () => {
    const { text: _, ...withoutText } = letter
    await send({ ...withoutText, attachments: [{ filename: 'a.txt', content: 'attached' }] })
    expect(inbox.messages()[0]?.text).toBe('')
  })

  test('a mail that names no recipient in its headers is found under the one it was sent to', async () => {
    await send({ ...letter, envelope: { from: 'a@example.com', to: ['Hidden@example.com'] } })
    const found = await fetch(new URL('/messages.json?to=hidden@EXAMPLE.com', inbox.url))
    expect(await found.json()).toMatchObject([{ to: ['hidden@example.com'] }])
    const none = await fetch(new URL('/messages.json?to=member@example.com', inbox.url))
    expect(await none.json()).toEqual([])
  })

  test('the newest mail comes first, on the page and as JSON', async () => {
    await send({ ...letter, subject: 'older' })
    await send({ ...letter, subject: 'newer' })
    const json = await fetch(new URL('/messages.json', inbox.url))
    expect(await json.json()).toMatchObject([{ subject: 'newer' }, { subject: 'older' }])
    const page = await getPage('/')
    expect(page.indexOf('newer')).toBeLessThan(page.indexOf('older'))
  })

  test("the pages speak the reader's language", async () => {
    expect(await getPage('/', 'ja')).toContain('メールはまだありません')
    expect(await getPage('/?lang=en', 'ja')).toContain('No mail yet')
  })

  test('a second start with the same state file finds its mail', async () => {
    await send(letter)
    const before = inbox.messages()
    await inbox.close()
    inbox = await startInbox({ smtpPort: 0, httpPort: 0, statePath: join(folder, 'mail.json') })
    expect(inbox.messages()).toEqual(before)
  })
})

describe('RFC 2047 encoded words', () => {
  const read = (header: string) => parseMail(Buffer.from(`Subject: ${header}\r\n\r\nbody`)).subject

  test.each([
    ['section 6.2: white space between two words is dropped', '=?UTF-8?Q?a?= =?UTF-8?Q?b?=', 'ab'],
    ['section 4.2: an underscore is a space', '=?UTF-8?Q?a_b?=', 'a b'],
    ['a character cut in two is put together', '=?UTF-8?B?44E=?= =?UTF-8?B?guWutg==?=', 'あ家'],
    ['a folded header is one line', '=?UTF-8?B?44GC?=\r\n =?UTF-8?B?44GE?=', 'あい'],
    ['ISO-2022-JP is read', '=?ISO-2022-JP?B?GyRCJCIbKEI=?=', 'あ'],
    ['an unknown charset is shown rather than lost', '=?x-none?Q?abc?=', 'abc'],
    ['plain UTF-8 is read as such', 'あ', 'あ'],
  ])('%s', (_, header, expected) => {
    expect(read(header)).toBe(expected)
  })
})
