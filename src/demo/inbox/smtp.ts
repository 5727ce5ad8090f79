import { randomUUID } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { SMTPServer, type SMTPServerDataStream, type SMTPServerSession } from 'smtp-server'
import type { MailStore, Message } from './mail-store.ts'
import { parseMail } from './parse-mail.ts'

const maxMailBytes = 1024 * 1024

/** Accepts mail from anyone to anyone; a mail is acknowledged once it is stored. */
export function createSmtpServer(store: MailStore, now: () => Date): SMTPServer {
  const smtp = new SMTPServer({
    // A self-signed certificate would only make well-behaved senders refuse us.
    disabledCommands: ['STARTTLS'],
    authOptional: true,
    allowInsecureAuth: true,
    disableReverseLookup: true,
    size: maxMailBytes,
    closeTimeout: 200,
    onAuth: (auth, _session, callback) => callback(null, { user: auth.username ?? 'anyone' }),
    onData(stream, session, callback) {
      receive(stream, session, now())
        .then((mail) => store.add(mail))
        .then(
          () => callback(),
          (error: Error) => callback(error),
        )
    },
  })
  // A sender that hangs up in the middle of a mail is no reason for the inbox to stop.
  smtp.on('error', () => undefined)
  return smtp
}

async function receive(
  stream: SMTPServerDataStream,
  session: SMTPServerSession,
  receivedAt: Date,
): Promise<Message> {
  const raw = await buffer(stream)
  // RFC 1870 section 6.3: a mail that grew past the announced size is answered with 552.
  if (stream.sizeExceeded) throw Object.assign(new Error('Message is too large'), { responseCode: 552 })
  const mail = parseMail(raw)
  return {
    id: randomUUID(),
    receivedAt: receivedAt.toISOString(),
    from: mail.from,
    to: session.envelope.rcptTo.map((recipient) => recipient.address.toLowerCase()),
    subject: mail.subject,
    text: mail.text,
    html: mail.html,
  }
}
