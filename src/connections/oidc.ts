import * as client from 'openid-client'
import { Problem } from '../problem.ts'
import { asProblem, asRefusal, exchangeCode, readAccount } from './answer.ts'
import { type ConfigurationDeps, upstreamConfigurations } from './configuration.ts'
import { openSecret } from './connection.ts'
import type {
  Attempt,
  RefreshOutcome,
  UpstreamAnswer,
  UpstreamTokens,
  VerifiedIdentity,
} from './connector.ts'
import { formAnswerToQuery, openFormAnswer } from './form-answer.ts'
import { type IdTokenAnswer, idTokenVerifier, type PresentedIdToken } from './id-token.ts'
import { plainName } from './identity-claims.ts'
import { kindOf } from './kinds.ts'
import {
  type SecurityEventAnswer,
  type SecurityEventForm,
  securityEventVerifier,
} from './security-event-token.ts'
import type { Connection } from './settings.ts'
import { endTokens, refreshTokens, toTokens } from './tokens.ts'
import { upstreamKeys } from './upstream-keys.ts'

/** Talks to upstreams as a client of theirs, by OpenID Connect or OAuth 2.0, for every connection of every kind. */
export interface OidcConnector {
  /** Where to send the browser. @throws Problem upstream_unreachable, connection_unavailable */
  authorizationUrl(connection: Connection, attempt: Attempt): Promise<URL>
  /** Judges the upstream's answer to `attempt`. @throws Problem upstream_unreachable, unexpected_upstream_answer */
  complete(connection: Connection, attempt: Attempt, answer: URLSearchParams): Promise<UpstreamAnswer>
  /** The query with which an answer that was posted comes back in its browser. */
  formToQuery(form: Record<string, unknown>): URLSearchParams
  /** Judges an ID token that an application got from the upstream by itself. @throws Problem upstream_unreachable */
  verifyIdToken(connection: Connection, presented: PresentedIdToken): Promise<IdTokenAnswer>
  /** Judges a security event token that somebody posted. @throws Problem upstream_unreachable */
  verifySecurityEvents(
    connection: Connection,
    token: string,
    form: SecurityEventForm,
  ): Promise<SecurityEventAnswer>
  /** New tokens for old. Rejects when the upstream could not be asked, or has not decided. */
  refresh(connection: Connection, tokens: UpstreamTokens & { refreshToken: string }): Promise<RefreshOutcome>
  /** Ends the tokens, and what they stand for, at the upstream. Rejects when it could not be told now. */
  revoke(connection: Connection, subject: string, tokens: UpstreamTokens): Promise<void>
  /** What is known of an upstream, by discovery and by settings. @throws Problem as above */
  discover(connection: Connection): Promise<client.ServerMetadata>
}

export function createOidcConnector(deps: ConfigurationDeps): OidcConnector {
  const { sealer, fetch, now } = deps
  const configurationOf = upstreamConfigurations(deps)
  const keysAt = upstreamKeys(fetch)
  const verify = idTokenVerifier(keysAt, now)
  const verifyEvents = securityEventVerifier(keysAt, now)

  return {
    async authorizationUrl(connection, attempt) {
      if (attempt.forceSignIn && !kindOf(connection.kind).provesAfresh)
        throw new Problem('connection_unavailable')
      const configuration = await configurationOf(connection).catch(asProblem)
      return client.buildAuthorizationUrl(configuration, await authorizationParams(connection, attempt))
    },
    async complete(connection, attempt, query) {
      const configuration = await configurationOf(connection).catch(asProblem)
      const answered = await exchangeCode(configuration, connection, attempt, query).then(
        (tokens) => ({ tokens }),
        asRefusal,
      )
      if ('outcome' in answered) return answered
      const secret = openSecret(sealer, connection)
      const { tokens } = answered
      const account = await readAccount(connection, configuration, tokens, secret, fetch).catch(asProblem)
      const identity = withProfile(connection, account.identity, openFormAnswer(sealer, query))
      return { outcome: 'verified', identity, tokens: toTokens(tokens, now()), received: account.received }
    },
    formToQuery: (form) => formAnswerToQuery(sealer, form),
    async verifyIdToken(connection, presented) {
      if (kindOf(connection.kind).protocol !== 'oidc') return { outcome: 'refused', fault: 'iss' }
      const configuration = await configurationOf(connection).catch(asProblem)
      return verify(connection, configuration.serverMetadata().jwks_uri, presented).catch(asProblem)
    },
    async verifySecurityEvents(connection, token, form) {
      const { protocol, withdrawalNotice } = kindOf(connection.kind)
      if (protocol !== 'oidc') return { outcome: 'refused', err: 'invalid_issuer' }
      // Only Apple's come without a type that tells them from other tokens of the same issuer.
      if ((form === 'apple') !== (withdrawalNotice === 'apple'))
        return { outcome: 'refused', err: 'invalid_request' }
      const configuration = await configurationOf(connection).catch(asProblem)
      const { jwks_uri: jwksUri } = configuration.serverMetadata()
      if (!jwksUri) return { outcome: 'refused', err: 'invalid_key' }
      return verifyEvents(connection, jwksUri, token, form).catch(asProblem)
    },
    async refresh(connection, tokens) {
      return refreshTokens(await configurationOf(connection), tokens, now())
    },
    async revoke(connection, subject, tokens) {
      const clientSecret = openSecret(sealer, connection)
      const request = { connection, clientSecret, subject, tokens, fetch }
      await endTokens(await configurationOf(connection), request)
    },
    async discover(connection) {
      return (await configurationOf(connection).catch(asProblem)).serverMetadata()
    },
  }
}

async function authorizationParams(
  { settings, kind: name }: Connection,
  attempt: Attempt,
): Promise<Record<string, string>> {
  const kind = kindOf(name)
  return {
    ...settings.authorizationParams,
    ...kind.authorizationParams?.(attempt),
    redirect_uri: attempt.redirectUri,
    scope: settings.scope,
    state: attempt.state,
    // RFC 7636 section 4.2
    code_challenge: await client.calculatePKCECodeChallenge(attempt.codeVerifier),
    code_challenge_method: 'S256',
    ...(kind.answersByForm?.(settings) && { response_mode: 'form_post' }),
    ...(kind.protocol === 'oidc' && { nonce: attempt.nonce, ui_locales: attempt.locale }),
    ...(attempt.forceSignIn && { prompt: 'login', max_age: '0' }),
  }
}

/** What is proved stands first; what came along in the browser only names who has no name yet. */
function withProfile(
  { kind }: Connection,
  identity: VerifiedIdentity,
  answer: URLSearchParams,
): VerifiedIdentity {
  const name = plainName(kindOf(kind).nameIn?.(answer))
  return name && !identity.profile.name ? { ...identity, profile: { ...identity.profile, name } } : identity
}
