import { z } from 'zod'
import { findConnection, openSecret } from '../connections/connection.ts'
import { createOidcConnector } from '../connections/oidc.ts'
import type { Connection } from '../connections/settings.ts'
import { createOutbound } from '../http/outbound.ts'
import { Problem } from '../problem.ts'
import type { Json } from './command.ts'
import { type Check, checkMetadata, fail, ok, warn } from './connection-checks.ts'
import { toView } from './connection-view.ts'
import { type Context, type Surroundings, withContext } from './context.ts'
import { plain, print, table } from './output.ts'
import { exitCode, Refusal } from './refusal.ts'

/** Asks the upstream what it is, the way the server does, and says what would stand in a member's way. */
export function testConnection(id: string, { json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async (context) => {
    const connection = await findConnection(context.db, id)
    if (!connection) throw new Refusal(`there is no connection ${plain(id)}`)
    const checks = await runChecks(connection, context)
    const passed = checks.every(({ outcome }) => outcome !== 'fail')
    const { callbackUrl } = toView(connection, context.config.ISSUER)
    const lines = [
      table(
        ['outcome', 'check', 'found'],
        checks.map(({ outcome, name, found }) => [outcome, name, found]),
        '',
      ),
      ...checks.flatMap(({ name, advice }) => (advice ? [`  ${name}: ${plain(advice)}`] : [])),
      '',
      passed
        ? `Nothing stands in the way. What only a sign-in shows: the secret, and the callback URL ${callbackUrl}`
        : 'Members cannot use this connection until what failed is put right.',
    ]
    print(json, { id, passed, callbackUrl, checks }, lines.join('\n'))
    if (!passed) process.exitCode = exitCode.refused
  })
}

async function runChecks(connection: Connection, { config, sealer, now }: Context): Promise<Check[]> {
  const state = connection.disabledAt
    ? [warn('state', 'members cannot use it', `when it works: hitotsu connections enable ${connection.id}`)]
    : []
  const keys = await sealer()
  try {
    openSecret(keys, connection)
  } catch {
    const advice =
      'give SECRET_KEYS as they were, newest first, or the secret anew: hitotsu connections update'
    return [...state, fail('secret', 'no key of SECRET_KEYS opens it', advice)]
  }
  const fetch = createOutbound(config.OUTBOUND_PRIVATE_HOSTS)
  try {
    const connector = createOidcConnector({ sealer: keys, fetch, now: () => now })
    const metadata = await connector.discover(connection)
    return [...state, ok('discovery', 'answered'), ...checkMetadata(connection, metadata)]
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return [...state, discoveryFailure(error)]
  } finally {
    await fetch.close()
  }
}

/** Why discovery did not work, in words, and what may be done about it. */
function discoveryFailure(error: unknown): Check {
  const name = 'discovery'
  const causes = chainOf(error)
  const refused = causes.find((cause) => /outbound request refused/.test(messageOf(cause)))
  if (refused)
    return fail(
      name,
      messageOf(refused),
      'for an upstream on a private address or over http, put its host:port in OUTBOUND_PRIVATE_HOSTS',
    )
  const mismatch = causes.map((cause) => issuerMismatch.safeParse(cause).data?.body.issuer).find(Boolean)
  if (mismatch)
    return fail(
      name,
      `the document is of the issuer ${mismatch}`,
      `hitotsu connections update --issuer ${mismatch}, with the secret`,
    )
  const response = causes.find((cause) => cause instanceof Response)
  if (response)
    return fail(
      name,
      `the upstream answered with HTTP status ${response.status}`,
      'check --issuer: is it an OpenID Provider?',
    )
  const found = messageOf(causes.at(-1))
  return error instanceof Problem && error.code === 'upstream_unreachable'
    ? fail(name, `it cannot be reached: ${found}`, 'check --issuer and the way out of this network')
    : fail(name, found, 'check --issuer: is it an OpenID Provider?')
}

/** The engine of the connector names what it compared. */
const issuerMismatch = z.object({ attribute: z.literal('issuer'), body: z.object({ issuer: z.string() }) })

function chainOf(error: unknown): unknown[] {
  const cause = error instanceof Error ? error.cause : undefined
  return cause === undefined ? [error] : [error, ...chainOf(cause)]
}

const messageOf = (cause: unknown) => (cause instanceof Error ? cause.message || cause.name : String(cause))
