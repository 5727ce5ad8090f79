import { redirectUriOf } from '../connections/pending-authorization.ts'
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
    settings: connection.settings,
    callbackUrl: redirectUriOf(issuer, connection.id),
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
    ['scope', settings.scope],
    ['authentication', settings.clientAuthentication],
    ['ID token', settings.idTokenSigningAlg ?? 'any asymmetric algorithm the upstream publishes a key for'],
    ['other audiences', settings.audiences],
    ['e-mail', settings.trustEmail ? 'believed when it says verified' : 'never taken as verified'],
    ['parameters', Object.entries(settings.authorizationParams).map(([key, value]) => `${key}=${value}`)],
    ['callback URL', connection.callbackUrl],
    ['stored', moment(connection.createdAt)],
    ['disabled', connection.disabledAt ? moment(connection.disabledAt) : 'no'],
  ]
}
