import { isDraft } from '../connections/connection.ts'
import { kindOf } from '../connections/kinds.ts'
import { redirectUriOf } from '../connections/pending-authorization.ts'
import { eventsUrlOf } from '../connections/security-event-url.ts'
import type { Connection } from '../connections/settings.ts'
import { moment } from './output.ts'

/** Everything about a connection but its secret, sealed or open. */
export function toView(connection: Connection, issuer: string) {
  return {
    id: connection.id,
    kind: connection.kind,
    name: connection.name,
    issuer: connection.issuer,
    clientId: connection.clientId,
    allowSignIn: connection.allowSignIn,
    settings: connection.settings,
    callbackUrl: redirectUriOf(issuer, connection.id),
    eventsUrl: eventsUrlOf(issuer, connection),
    createdAt: connection.createdAt,
    disabledAt: connection.disabledAt,
  }
}
export type ConnectionView = ReturnType<typeof toView>

/** The lines that describe a connection to people. */
export function connectionParts({
  settings,
  ...connection
}: ConnectionView): (readonly [string, string | readonly string[] | undefined])[] {
  return [
    ['id', connection.id],
    ['kind', connection.kind],
    ['name (ja)', connection.name.ja],
    ['name (en)', connection.name.en],
    ['issuer', connection.issuer],
    ['client id', connection.clientId],
    ['client secret', 'stored sealed, never shown'],
    ['signed by', settings.signer && `key ${settings.signer.keyId} of team ${settings.signer.teamId}`],
    ['sign-in', connection.allowSignIn ? 'members may sign in through it' : 'for linking only'],
    ['scope', settings.scope],
    ['authentication', settings.clientAuthentication],
    ['metadata', settings.discovery],
    ['endpoints', Object.entries(settings.endpoints ?? {}).map(([name, url]) => `${name}: ${url}`)],
    ['claims', Object.entries(settings.claims ?? {}).map(([name, path]) => `${name}: ${path}`)],
    [
      'ID token',
      kindOf(connection.kind).protocol === 'oidc'
        ? (settings.idTokenSigningAlg ?? 'any asymmetric algorithm the upstream publishes a key for')
        : undefined,
    ],
    ['other audiences', settings.audiences],
    ['e-mail', settings.trustEmail ? 'believed when it says verified' : 'never taken as verified'],
    ['parameters', Object.entries(settings.authorizationParams).map(([key, value]) => `${key}=${value}`)],
    [
      'disclosure',
      settings.disclosure === 'pairwise' ? 'a subject of its own for each relying party' : 'subject',
    ],
    ['callback URL', connection.callbackUrl],
    ['events URL', connection.eventsUrl],
    ['stored', moment(connection.createdAt)],
    ['disabled', disabled(connection)],
  ]
}

function disabled(view: Pick<ConnectionView, 'createdAt' | 'disabledAt'>): string {
  if (!view.disabledAt) return 'no'
  return isDraft(view) ? 'not enabled yet' : moment(view.disabledAt)
}
