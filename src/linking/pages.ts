import type Router from '@koa/router'
import type { HttpState } from '../http/context.ts'
import { linkingAccountRoutes } from './account.routes.ts'
import { callbackRoutes } from './callback.routes.ts'
import { consentRoutes } from './consent/consents.routes.ts'
import { type LinkDeps, linkRoutes } from './link.routes.ts'
import { trialRoutes } from './trial/trial.routes.ts'

/** Every page of linking that a browser may open. */
export function linkingPages(deps: LinkDeps): Router<HttpState>[] {
  return [
    linkingAccountRoutes(deps),
    linkRoutes(deps),
    callbackRoutes(deps),
    trialRoutes(deps),
    consentRoutes(deps),
  ]
}
