import type { LineMessage } from '../../connections/line-messaging/line-messaging.ts'
import { type Locale, translator } from '../../http/i18n.ts'
import type { ProblemCode } from '../../problem.ts'

interface Words {
  serviceName: string
  issuer: string
  connectionId: string
}

/** The button that leads to linking. */
export function invitationMessage(
  locale: Locale,
  { serviceName: service, url, occasion }: Words & { url: string; occasion: 'asked' | 'follow' },
): LineMessage {
  const t = translator(locale)
  return buttons(t(`line_message.invitation.${occasion}`, { service }), [
    { label: t('line_message.invitation.button'), uri: url },
  ])
}

/** Who is linked is told so, and how to undo it (LINE asks for that when accounts are linked). */
export function linkedMessage(locale: Locale, words: Words): LineMessage {
  const t = translator(locale)
  return buttons(t('line_message.linked', { service: words.serviceName }), memberButtons(locale, words))
}

export function alreadyLinkedMessage(locale: Locale, words: Words): LineMessage {
  const t = translator(locale)
  return buttons(t('line_message.already', { service: words.serviceName }), memberButtons(locale, words))
}

/** Why nothing was linked, and what can be done. */
export function refusedMessage(locale: Locale, { serviceName }: Words, reason: string): LineMessage {
  const t = translator(locale)
  const key = Object.hasOwn(keyOfReason, reason) ? keyOfReason[reason as ProblemCode] : undefined
  return { type: 'text', text: t(`line_message.refused.${key ?? 'other'}`, { service: serviceName }) }
}

const keyOfReason: Partial<Record<ProblemCode, string>> = {
  identity_linked_to_another_member: 'conflict',
  already_linked: 'another',
  identity_cooling_off: 'cooling_off',
  line_confirmation_over: 'over',
  line_confirmation_unknown: 'over',
  line_account_differs: 'differs',
}

function memberButtons(locale: Locale, { issuer, connectionId }: Words) {
  const t = translator(locale)
  return [
    { label: t('line_message.account'), uri: `${issuer}/account` },
    {
      label: t('line_message.unlink'),
      uri: `${issuer}/account/connections/${encodeURIComponent(connectionId)}/unlink`,
    },
  ]
}

/** A buttons template: at most 160 characters of text and 20 of a label (Messaging API reference, Buttons template). */
function buttons(text: string, actions: readonly { label: string; uri: string }[]): LineMessage {
  return {
    type: 'template',
    // What is shown where a template cannot be, and in notifications.
    altText: text,
    template: { type: 'buttons', text, actions: actions.map((action) => ({ type: 'uri', ...action })) },
  }
}
