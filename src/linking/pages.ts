import type Router from '@koa/router'
import type { HttpMiddleware, HttpState } from '../http/context.ts'
import type { ApiAccess } from '../oidc/api.ts'
import { linkingAccountRoutes } from './account.routes.ts'
import { appTokenRoutes } from './app-token/app-token.routes.ts'
import { callbackRoutes } from './callback.routes.ts'
import { conflictRoutes } from './conflict/conflict.routes.ts'
import { ownerSignInRoutes } from './conflict/owner-sign-in.routes.ts'
import { consentRoutes } from './consent/consents.routes.ts'
import { invitationRoutes } from './invitation/invitation.routes.ts'
import { type LinkDeps, linkRoutes } from './link.routes.ts'
import { managementRoutes } from './management/links.routes.ts'
import { type MergePageDeps, mergeRoutes } from './merge/merges.routes.ts'
import { lineInvitationRoutes } from './messaging/invitation.routes.ts'
import { lineWebhookRoutes, type WebhookDeps } from './messaging/webhook.routes.ts'
import { promptRoutes } from './prompts/prompt.routes.ts'
import { promptScript } from './prompts/script.ts'
import { qrCounterRoutes } from './qr/counter.routes.ts'
import { qrPhoneRoutes } from './qr/phone.routes.ts'
import { qrScreenRoutes, qrStartRoutes } from './qr/screen.routes.ts'
import { linkListRoutes } from './relying-party/links.routes.ts'
import { type SecurityEventDeps, securityEventRoutes } from './security-events/security-events.routes.ts'
import { ticketRoutes } from './ticket/ticket.routes.ts'
import { trialRoutes } from './trial/trial.routes.ts'
import { unlinkRoutes } from './unlink/unlink.routes.ts'

/** Every page of linking that a browser may open. */
export function linkingPages(deps: LinkDeps & MergePageDeps): Router<HttpState>[] {
  return [
    linkingAccountRoutes(deps),
    lineInvitationRoutes(deps),
    linkRoutes(deps),
    trialRoutes(deps),
    conflictRoutes(deps),
    ownerSignInRoutes(deps),
    callbackRoutes(deps),
    consentRoutes(deps),
    unlinkRoutes(deps),
    mergeRoutes(deps),
    invitationRoutes(deps),
    promptRoutes(deps),
    qrStartRoutes(deps),
    qrScreenRoutes(deps),
    qrPhoneRoutes(deps),
  ]
}

/** What programs ask of linking. */
export function linkingApi(deps: LinkDeps & { access: ApiAccess }): Router<HttpState>[] {
  return [
    ticketRoutes(deps),
    appTokenRoutes(deps),
    linkListRoutes(deps),
    managementRoutes(deps),
    qrCounterRoutes(deps),
  ]
}

/**
 * What others ask without a page of ours: upstreams call, no browser, proved by what they send with it; and pages of
 * relying parties load the prompt. Goes before everything that reads a cookie.
 */
export function outsideCalls(deps: WebhookDeps & SecurityEventDeps): HttpMiddleware[] {
  const calls = [
    lineWebhookRoutes(deps).routes() as HttpMiddleware,
    securityEventRoutes(deps).routes() as HttpMiddleware,
    promptScript(deps),
  ]
  // No pages of ours: what guards their forms does not look for them here.
  return calls.map(
    (call): HttpMiddleware =>
      (ctx, next) =>
        call(ctx, next),
  )
}
