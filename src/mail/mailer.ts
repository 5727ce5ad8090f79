import nodemailer from 'nodemailer'
import { type Locale, translator } from '../http/i18n.ts'
import { renderText } from '../http/render.ts'
import type { Logger } from '../telemetry/logger.ts'

export interface Mail {
  to: string
  locale: Locale
  /** A pair of views in views/mail: `<template>.txt.eta` and `<template>.html.eta`. */
  template: string
  model: Record<string, unknown>
  /** Repeated when the same mail is sent again, so that receivers can tell. */
  id: string
}

/** Hands one localized message to the mail server; rejects when it was not taken. */
export type SendMail = (mail: Mail) => Promise<void>

/** Without a mail server, mail is dropped with a warning that names its template and nothing of its content. */
export function createMailer(
  smtpUrl: string | undefined,
  from: string,
  serviceName: string,
  log: Logger,
): SendMail {
  if (!smtpUrl) {
    return async ({ template, id }) =>
      log.warn({ template, mailId: id }, 'mail not sent: SMTP_URL is not set')
  }
  const transport = nodemailer.createTransport({
    url: smtpUrl,
    connectionTimeout: 5_000,
    greetingTimeout: 5_000,
    socketTimeout: 10_000,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  return async ({ to, locale, template, model, id }) => {
    const t = translator(locale)
    const values = { ...model, serviceName }
    await transport.sendMail({
      from,
      to: { name: '', address: to },
      messageId: `<${id}@${new URL(smtpUrl).hostname}>`,
      subject: t(`mail.${template.replaceAll('-', '_')}.subject`, { serviceName }),
      text: renderText(`mail/${template}.txt.eta`, locale, t, values),
      html: renderText(`mail/${template}.html.eta`, locale, t, values),
    })
  }
}
