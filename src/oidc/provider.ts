import mount from 'koa-mount'
import { Provider } from 'oidc-provider'
import type { HttpMiddleware } from '../http/context.ts'
import { pinOrigin } from '../http/origin.ts'
import type { Outbound } from '../http/outbound.ts'
import { systemRandom } from '../security/random.ts'
import type { Logger } from '../telemetry/logger.ts'
import { recordLogouts } from './backchannel-logout.ts'
import { compareDigests } from './client-authentication.ts'
import { keepInstances } from './client-instances.ts'
import { honorKeyRotation } from './client-keys.ts'
import { tokenExchangeGrant } from './clients/profile.ts'
import { type EngineData, engineConfiguration } from './configuration.ts'
import { guardDeviceFlow } from './device-flow.ts'
import { replayDetection } from './dpop.ts'
import { leaveOutType } from './empty-answer.ts'
import { replayGuard } from './ephemeral-adapter.ts'
import { noteGrantUse } from './grant.ts'
import { echoInteractionId } from './interaction-id.ts'
import { carryLinkResults } from './link-request.ts'
import { formPostPage } from './pages.ts'
import type { EngineDeps } from './recent.ts'
import { dropStacksOfRefusals } from './refusals.ts'
import { manageRegistrations } from './registration.ts'
import { memberSubjects, nameMembers } from './subject.ts'
import {
  type SubjectOf,
  tokenExchange,
  tokenExchangeParameters,
  tokenExchangeRepeated,
} from './token-exchange.ts'
import { markTokens } from './token-kinds.ts'
import type { HandOut } from './upstream-token.ts'

export interface Engine {
  provider: Provider
  middleware: HttpMiddleware
}

export interface EngineSurroundings extends EngineDeps {
  log: Logger
  fetch: Outbound
  /** Unset where no request is served. */
  subjectOf?: SubjectOf
  handOut?: HandOut
}

/** The only place an engine is made: from data, with everything that hangs on it, so that it can be made anew at any time. */
export function buildEngine(data: EngineData, deps: EngineSurroundings): Engine {
  const subjectsOf = memberSubjects(deps, systemRandom)
  const provider = new Provider(data.issuer, {
    ...engineConfiguration(data, deps, subjectsOf),
    fetch: (input, init) => deps.fetch(input instanceof Request ? input.url : input, init),
  })
  pinOrigin(provider, data.issuer)

  provider.use(echoInteractionId)
  provider.use(formPostPage)
  provider.use(leaveOutType)
  compareDigests(provider, deps)
  dropStacksOfRefusals()
  keepInstances(provider, deps.recent)
  markTokens(provider)
  carryLinkResults(provider)
  nameMembers(provider, subjectsOf)
  manageRegistrations(provider, deps.store, deps.now)
  honorKeyRotation(provider, deps.now)
  // The engine's own check looks first and stores after: two presentations at once would both be first.
  provider.ReplayDetection.unique = replayDetection(provider, replayGuard(deps.store, deps.now), deps.now)

  guardDeviceFlow(provider, deps.store)
  const exchange = tokenExchange(deps.db, deps.subjectOf, deps.handOut)
  provider.registerGrantType(tokenExchangeGrant, exchange, tokenExchangeParameters, tokenExchangeRepeated)
  recordLogouts(provider, deps)

  // RFC 9126 section 2.3: what is too large has a status of its own. The engine names it only like this.
  provider.on('pushed_authorization_request.error', (ctx, { cause }) => {
    if (cause instanceof Error && cause.message === 'request entity too large') ctx.status = 413
  })
  // Not waited for: the answer does not depend on it.
  provider.on('grant.success', ({ oidc }) => {
    const grantId = oidc.entities.Grant?.jti
    // A rotation has noted it itself.
    if (!grantId || oidc.entities.RotatedRefreshToken) return
    noteGrantUse(deps.db, grantId, deps.now()).catch((err: unknown) =>
      deps.log.warn({ err }, 'the use of a grant was not written down'),
    )
  })
  // Without a listener an unexpected exception would leave no trace.
  provider.on('server_error', (_ctx, error) => deps.log.error({ err: error }, 'engine failed'))
  return { provider, middleware: mount(provider) as unknown as HttpMiddleware }
}
