import { z } from 'zod'
import { findConnection, openSecret } from '../connections/connection.ts'
import { chainOf, messageOf } from '../connections/failure.ts'
import { hasUpstream } from '../connections/kinds.ts'
import { createOidcConnector } from '../connections/oidc.ts'
import type { Connection } from '../connections/settings.ts'
import { createOutbound } from '../http/outbound.ts'
import { trialUrl } from '../linking/trial/ticket.ts'
import { Problem } from '../problem.ts'
import { systemRandom } from '../security/random.ts'
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
    const trial = passed && hasUpstream(connection.kind) ? await trialOf(connection, context) : undefined
    const lines = [
      table(
        ['outcome', 'check', 'found'],
        checks.map(({ outcome, name, found }) => [outcome, name, found]),
        '',
      ),
      ...checks.flatMap(({ name, advice }) => (advice ? [`  ${name}: ${plain(advice)}`] : [])),
      '',
      ...(trial
        ? [
            `Nothing stands in the way. Whether the secret and the callback URL ${callbackUrl}`,
            'are right, only a sign-in shows. Open this in a browser, once, within ten minutes; nothing is stored:',
            `  ${trial}`,
          ]
        : [
            passed
              ? 'Nothing stands in the way.'
              : 'Members cannot use this connection until what failed is put right.',
          ]),
    ]
    print(json, { id, passed, callbackUrl, checks, trialUrl: trial ?? null }, lines.join('\n'))
    if (!passed) process.exitCode = exitCode.refused
  })
}

async function trialOf({ id }: Connection, { config, sealer, now }: Context): Promise<string> {
  return trialUrl({ sealer: await sealer(), random: systemRandom, issuer: config.ISSUER }, id, now)
}

async function runChecks(connection: Connection, { config, sealer, now }: Context): Promise<Check[]> {
  const state = connection.disabledAt
    ? [warn('state', 'members cannot use it', `when it works: hitotsu connections enable ${connection.id}`)]
    : []
  if (!hasUpstream(connection.kind))
    return [...state, ok('upstream', 'none: a client of ours vouches for its accounts')]
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
  const found = causes.map(messageOf).findLast(Boolean) ?? ''
  return error instanceof Problem && error.code === 'upstream_unreachable'
    ? fail(name, `it cannot be reached: ${found}`, 'check --issuer and the way out of this network')
    : fail(name, found, 'check --issuer: is it an OpenID Provider?')
}

/** The engine of the connector names what it compared. */
const issuerMismatch = z.object({ attribute: z.literal('issuer'), body: z.object({ issuer: z.string() }) })
