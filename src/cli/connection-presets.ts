import type { Command } from 'commander'
import { hasUpstream, kindOf } from '../connections/kinds.ts'
import { type KindName, kinds } from '../connections/settings.ts'
import { addCommand, type Json } from './command.ts'
import { details, print } from './output.ts'

export function addConnectionPresets(connections: Command): void {
  addCommand(connections, 'presets', 'List the kinds of upstream, what each needs, and what it is set to.', [
    'hitotsu connections presets',
    "hitotsu connections presets --json | jq -r '.[].kind'",
  ]).action(({ json }: Json) => {
    const presets = kinds.map(presetOf)
    print(json, presets, presets.map((preset) => details(partsOf(preset))).join('\n\n'))
  })
}

const askedBy = {
  issuer: '--issuer',
  discovery: '--discovery',
  endpoints: '--authorization-endpoint, --token-endpoint',
  userinfo: '--userinfo-endpoint',
  claims: '--claim subject=',
  signer: '--team-id, --key-id',
}

const noticed = {
  risc: 'security events (RISC)',
  apple: 'server-to-server notifications',
  deauthorize_callback: 'a deauthorize callback',
  line_webhook: 'webhooks of the Messaging API',
}

const protocols = { oidc: 'OpenID Connect', oauth2: 'OAuth 2.0', ticket: 'vouched for by a client of ours' }
const secretNames = { secret: 'a client secret', 'p8 key': 'a .p8 key as the client secret' }

/** What is known of a kind before anybody has set anything. */
export function presetOf(kind: KindName) {
  const { title, protocol, documentation, issuer, settings, asks, ...difference } = kindOf(kind)
  const needs = Object.entries(asks).map(([asked, where]) => ({
    option: askedBy[asked as keyof typeof askedBy],
    where,
  }))
  return {
    ...{ kind, title, protocol, documentation, issuer: issuer ?? null, needs, settings },
    vouchesForEmail: difference.vouchesForEmail,
    provesAfresh: difference.provesAfresh,
    clientSecret: difference.secretIsKey ? ('p8 key' as const) : ('secret' as const),
    endsConsent: difference.deauthorize !== undefined,
    withdrawalNotice: difference.withdrawalNotice ?? null,
  }
}

function partsOf(preset: ReturnType<typeof presetOf>): [string, string | string[] | undefined][] {
  const { needs } = preset
  return [
    ['kind', preset.kind],
    ['upstream', `${preset.title}, ${protocols[preset.protocol]}`],
    [
      'needs',
      [
        ...(hasUpstream(preset.kind) ? [`--client-id, ${secretNames[preset.clientSecret]}`] : []),
        ...needs.map(({ option, where }) => `${option}: ${where}`),
      ],
    ],
    ['issuer', preset.issuer ?? undefined],
    ...(hasUpstream(preset.kind) ? upstreamParts(preset) : []),
    ['stated at', preset.documentation],
  ]
}

function upstreamParts({
  settings,
  withdrawalNotice,
  ...preset
}: ReturnType<typeof presetOf>): [string, string | undefined][] {
  return [
    ['scope', settings.scope],
    [
      'e-mail',
      preset.vouchesForEmail ? 'verified where it says so and --trust-email is set' : 'never verified',
    ],
    [
      'sign-in',
      preset.provesAfresh ? 'can be asked for anew' : 'cannot be asked for anew: no proof of a recent one',
    ],
    ['withdrawal', withdrawalNotice ? `tells it by ${noticed[withdrawalNotice]}` : undefined],
  ]
}
