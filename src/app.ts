import Router from '@koa/router'
import Koa from 'koa'
import type { JWKS } from 'oidc-provider'
import type { Config } from './config/config.ts'
import { messagingApi } from './connections/line-messaging/api.ts'
import { lineMessaging } from './connections/line-messaging/line-messaging.ts'
import { createOidcConnector } from './connections/oidc.ts'
import { auditSink } from './events/audit.ts'
import { type Dispatcher, type Sink, startDispatcher } from './events/dispatcher.ts'
import type { SinkName } from './events/event.ts'
import { apiRequests } from './http/api.ts'
import type { HttpMiddleware, HttpState, Site } from './http/context.ts'
import { pinOrigin } from './http/origin.ts'
import type { Outbound } from './http/outbound.ts'
import { forms, shell } from './http/shell.ts'
import { interactionRoutes } from './interaction/interaction.routes.ts'
import { watchConsents } from './linking/consent/watch.ts'
import { formAnswers } from './linking/form-answer.ts'
import type { LinkDeps } from './linking/link.routes.ts'
import { linkingMail, linkingMailSent } from './linking/mail.ts'
import { mergeMail } from './linking/merge/mail.ts'
import type { MessagingDeps } from './linking/messaging/deps.ts'
import { lineNoticeHandler } from './linking/messaging/line-notices.ts'
import { messagingSink } from './linking/messaging/messaging-sink.ts'
import { noticeSink } from './linking/notices/notice-sink.ts'
import { linkingApi, linkingPages, outsideCalls } from './linking/pages.ts'
import { securityEventHandler } from './linking/security-events/handle.ts'
import { exchangeSubject } from './linking/token-exchange.ts'
import { handOutTokens } from './linking/tokens/hand-out.ts'
import { upstreamSink } from './linking/tokens/token-vault.ts'
import { linkTransactions } from './linking/transaction.ts'
import { createMailer } from './mail/mailer.ts'
import { memberAccountRoutes } from './members/account.routes.ts'
import { createPasswordHasher, type HashCost } from './members/credentials/password.ts'
import { type EmailCodes, emailCodes } from './members/email-code.ts'
import { memberMail } from './members/mail.ts'
import { apiAccess } from './oidc/api.ts'
import { backchannelLogoutSink } from './oidc/backchannel-logout.ts'
import { accountSignInUrl } from './oidc/clients/account-client.ts'
import type { EngineData } from './oidc/configuration.ts'
import { type EngineHolder, startEngine } from './oidc/engine.ts'
import { frontRoutes } from './oidc/front.routes.ts'
import type { KeyPolicy } from './oidc/keys/plan.ts'
import { machinesFirst, refuseOtherMethods } from './oidc/methods.ts'
import { postRequests } from './oidc/post-requests.ts'
import { buildEngine, type EngineSurroundings } from './oidc/provider.ts'
import { rememberRecent } from './oidc/recent.ts'
import { serviceRoutes } from './oidc/services.routes.ts'
import { type CurrentProvider, readSession } from './oidc/session.ts'
import type { Random } from './security/random.ts'
import { createSealer, type Sealer } from './security/seal.ts'
import { openChanges } from './store/changes.ts'
import { announceChanges, type Db } from './store/db.ts'
import type { Ephemeral } from './store/ephemeral.ts'
import type { Logger } from './telemetry/logger.ts'

/** What a server stands on. Everything that is not a pure function of these is in here. */
export interface Resources {
  config: Config
  db: Db
  store: Ephemeral
  random: Random
  now: () => Date
  log: Logger
  fetch: Outbound
  isDraining: () => boolean
  hashCost?: HashCost
}

export interface App {
  koa: Koa<HttpState>
  dispatcher: Dispatcher
  engine: EngineHolder
  /** Ends what runs beside requests. */
  stop(): Promise<void>
}

/** At most this many passwords are hashed at once: the thread pool has four threads, and signing needs some. */
const concurrentHashes = 2

/** The composition root: the only place that knows every feature. */
export async function createApp(resources: Resources): Promise<App> {
  const { config, db, store, random, now, log, fetch } = resources
  const issuer = config.ISSUER
  const sealer = createSealer(config.SECRET_KEYS)
  const codes = emailCodes(store, random, config.SECRET_KEYS)
  const hasher = createPasswordHasher(concurrentHashes, resources.hashCost)
  const connector = createOidcConnector({ sealer, fetch, now })
  const subjectOf = exchangeSubject({ db, store, connector, now })
  const handOut = handOutTokens({ db, store, vault: { sealer }, connector, now })
  const engine = await openEngine(resources, sealer, { subjectOf, handOut })
  const { provider } = engine

  const linking = linkingDeps(resources, { sealer, connector, hasher })
  const { PASSWORD_MIN_LENGTH: passwordMinLength } = config
  const { recentSeconds, signInUrl } = linking

  const koa = openShell(resources)
  const pages = [
    frontRoutes(issuer),
    interactionRoutes({ ...linking, provider, codes, hasher, passwordMinLength }),
    ...linkingPages({ ...linking, codes }),
    serviceRoutes({ db, signInUrl }),
    memberAccountRoutes({ db, store, hasher, signInUrl, passwordMinLength, recentSeconds }),
  ]
  const ours = new Router<HttpState>()
  for (const middleware of [...forms(issuer), readSession(db, provider)]) ours.use(middleware)
  for (const page of pages) ours.use(page.routes())
  const api = apiRequests(linkingApi({ ...linking, access: apiAccess(provider, issuer) }))
  const answers = [...outsideCalls({ ...linking, sealer }), api, formAnswers(linking)]
  serve(koa, engine, answers, ours)
  koa.on('error', (error) => log.error({ err: error }, 'request failed outside the shell'))

  const sinks = openSinks(resources, linking, codes, provider)
  const dispatcher = startDispatcher({ db, sinks, now, log })
  const consents = watchConsents({ db, now, log })
  const stop = async () => {
    await Promise.all([engine.stop(), dispatcher.stop(), consents.stop()])
  }
  return { koa, dispatcher, engine, stop }
}

/** What a request is offered to, in this order, until it is answered. */
function serve(
  koa: Koa<HttpState>,
  engine: EngineHolder,
  answers: readonly HttpMiddleware[],
  pages: Router<HttpState>,
): void {
  koa.use(refuseOtherMethods)
  koa.use(machinesFirst(engine.middleware))
  for (const answer of answers) koa.use(answer)
  koa.use(pages.routes() as HttpMiddleware)
  koa.use(pages.allowedMethods() as HttpMiddleware)
  koa.use(postRequests)
  koa.use(engine.middleware)
}

/** What linking stands on. */
function linkingDeps(
  { config, db, store, random }: Resources,
  { sealer, connector, hasher }: Pick<LinkDeps, 'connector' | 'hasher'> & { sealer: Sealer },
): LinkDeps {
  const issuer = config.ISSUER
  return {
    db,
    store,
    random,
    issuer,
    connector,
    hasher,
    transactions: linkTransactions(store, random, sealer),
    vault: { sealer },
    signInUrl: accountSignInUrl(issuer),
    recentSeconds: config.RECENT_SIGN_IN_SECONDS,
    termsVersion: config.TERMS_VERSION,
    mergeUndoDays: config.MERGE_UNDO_DAYS,
    coolOffDays: config.UNLINK_COOL_OFF_DAYS,
  }
}

/** Where events go: each feature's own. */
function openSinks(
  resources: Resources,
  linking: LinkDeps,
  codes: EmailCodes,
  provider: CurrentProvider,
): Record<SinkName, Sink> {
  const { db, now, log, fetch } = resources
  const { vault, connector, coolOffDays } = linking
  const { sealer } = vault
  const messaging = messagingDeps(resources, linking)
  return {
    audit: auditSink(db, now),
    mail: mailSink(resources, codes, sealer),
    upstream: upstreamSink(db, vault, connector, now),
    notices: noticeSink(
      { db, sealer, now },
      {
        line_webhook: lineNoticeHandler(messaging),
        security_event: securityEventHandler({ db, policy: { sealer, coolOffDays }, now }),
      },
    ),
    messaging: messagingSink(messaging),
    backchannel_logout: backchannelLogoutSink({ db, now, log, fetch, provider }),
  }
}

function messagingDeps({ config, now, fetch }: Resources, linking: LinkDeps): MessagingDeps {
  const { sealer } = linking.vault
  const line = lineMessaging(messagingApi({ sealer, fetch, now }))
  return { ...linking, sealer, now, line, serviceName: config.SERVICE_NAME }
}

/** The engine, kept on the keys of all processes, and what it may remember between requests. */
async function openEngine(
  resources: Resources,
  sealer: Sealer,
  exchanges: Pick<EngineSurroundings, 'subjectOf' | 'handOut'>,
): Promise<EngineHolder> {
  const { config, db, store, random, now, log, fetch } = resources
  const changes = await openChanges(store, (err) => log.warn({ err }, 'a change was not announced'))
  announceChanges(db, ({ topic, id }) => void changes.announce(topic, id))
  const recent = rememberRecent({ db, store, changes }, now)
  const engine = await startEngine({
    ...{ db, sealer, random, now, log, policy: keyPolicy(config) },
    build: (jwks) =>
      buildEngine(engineData(config, jwks), { db, store, recent, now, log, fetch, ...exchanges }),
  })
  // A notice that is lost, or cannot be followed now, costs a second.
  changes.on('keys', () => void engine.refresh().catch(() => undefined))
  return engine
}

function engineData(config: Config, jwks: JWKS): EngineData {
  const { CLIENT_CERTIFICATE_HEADER: certificate, CLIENT_CERTIFICATE_VERIFIED_HEADER: verified } = config
  return {
    issuer: config.ISSUER,
    cookieKeys: config.COOKIE_KEYS,
    jwks,
    recentSignInSeconds: config.RECENT_SIGN_IN_SECONDS,
    certificateHeaders: certificate === undefined ? undefined : { certificate, verified },
  }
}

function keyPolicy(config: Config): KeyPolicy {
  return {
    rotationDays: config.KEY_ROTATION_DAYS,
    publishAheadSeconds: config.KEY_PUBLISH_AHEAD_SECONDS,
    retiredDays: config.KEY_RETIRED_DAYS,
  }
}

/** The application as every request meets it first, whatever the request is for. */
function openShell({ config, db, store, random, now, log, isDraining }: Resources): Koa<HttpState> {
  const issuer = config.ISSUER
  const site: Site = {
    issuer,
    serviceName: config.SERVICE_NAME,
    termsUrl: config.TERMS_URL,
    privacyUrl: config.PRIVACY_URL,
  }
  const koa = new Koa<HttpState>({
    keys: config.COOKIE_KEYS,
    proxy: config.TRUST_PROXY > 0,
    maxIpsCount: config.TRUST_PROXY,
  })
  pinOrigin(koa, issuer)
  const probes = { database: () => db.$queryRaw`SELECT 1`, store: () => store.ping() }
  for (const middleware of shell({ site, random, now, log, probes, isDraining })) koa.use(middleware)
  return koa
}

/** Sends the message an event asks for, if it asks for one: the features say which. */
function mailSink({ config, db, store, log }: Resources, codes: EmailCodes, sealer: Sealer): Sink {
  const { ISSUER: issuer, SMTP_URL, MAIL_FROM, SERVICE_NAME } = config
  const send = createMailer(SMTP_URL, MAIL_FROM, SERVICE_NAME, log)
  return async (event) => {
    const message =
      (await memberMail({ db, store, codes, issuer }, event)) ??
      (await mergeMail({ db, issuer, codes }, event)) ??
      (await linkingMail({ db, issuer, sealer }, event))
    if (message) await send(message)
    await linkingMailSent(db, event)
  }
}
