import { type DestinationStream, type Logger, pino } from 'pino'

export type { Logger }

/** Names under which a secret might be handed to the log; their values never leave the process. */
const secretNames = [
  'password',
  'currentPassword',
  'newPassword',
  'code',
  'codeVerifier',
  'code_verifier',
  'client_secret',
  'clientSecret',
  'secret',
  'access_token',
  'accessToken',
  'refresh_token',
  'refreshToken',
  'id_token',
  'idToken',
  'client_assertion',
  'authorization',
  'cookie',
  'state',
  'nonce',
  'token',
  '_csrf',
]

/** One JSON line per record on standard output. Secrets are cut by name, one level deep; callers log ids, never bodies or URLs with a query. */
export function createLogger(level: string, destination?: DestinationStream): Logger {
  const options = {
    level,
    base: null,
    formatters: { level: (label: string) => ({ level: label }) },
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: secretNames.flatMap((name) => [name, `*.${name}`]), censor: '[secret]' },
    serializers: { err: serializeError },
  }
  return destination ? pino(options, destination) : pino(options)
}

/** An error's `code` (ECONNREFUSED, P2002) is no one-time code: it is logged under a name the list above does not cut. */
function serializeError(error: Error): object {
  const { code, ...rest } = pino.stdSerializers.errWithCause(error)
  return code === undefined ? rest : { ...rest, errorCode: code }
}
