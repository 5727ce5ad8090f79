import { routes } from '../../src/oidc/routes.ts'
import { browserScripts, type Scripts } from './browser-script.ts'
import {
  core,
  type FapiVariant,
  fapiClientId,
  fapiScopes,
  fapiVariants,
  type SuitePlace,
  variantName,
} from './clients.ts'
import type { Kept } from './kept.ts'
import { plans } from './plans.ts'
import { memberEmail } from './world.ts'

/** A test plan as the suite takes it. */
export interface PlanConfig {
  /** What its file is called, without an ending. */
  name: string
  plan: keyof typeof plans
  variant: Record<string, string>
  config: Record<string, unknown>
  /** What somebody has to do while it runs. */
  note?: string
}

type Unnamed = Omit<PlanConfig, 'name' | 'config'> & { config: Record<string, unknown> }

export function planConfigs(issuer: string, { alias }: SuitePlace, kept: Kept): PlanConfig[] {
  const scripts = browserScripts(issuer, { email: memberEmail, password: kept.memberPassword })
  const common = {
    alias,
    server: { discoveryUrl: `${issuer}/.well-known/openid-configuration`, login_hint: memberEmail },
  }
  return Object.entries({ ...corePlans(kept), ...fapiPlans(issuer, kept) }).map(([name, unnamed]) => ({
    name,
    ...unnamed,
    config: {
      description: `Hitotsu: ${name}`,
      ...common,
      ...unnamed.config,
      ...forPlan(scripts, plans[unnamed.plan] ?? []),
    },
  }))
}

/** Modules that a plan does not have need no script there. */
function forPlan({ browser, override }: Scripts, modules: readonly string[]): Scripts {
  const own = Object.entries(override).filter(([module]) => modules.includes(module))
  return { browser, override: Object.fromEntries(own) }
}

const discovery = { server_metadata: 'discovery' }
const [asStatic, asDynamic] = [
  { client_registration: 'static_client' },
  { client_registration: 'dynamic_client' },
]
const code = { response_type: 'code' }

function corePlans({ secrets, initialAccessToken }: Kept): Record<string, Unnamed> {
  const client = (id: string) => ({ client_id: id, client_secret: secrets[id] })
  const known = { client: client(core.first), client2: client(core.second) }
  const withPost = { ...known, client_secret_post: client(core.post) }
  const registered = (name: string) => ({ client_name: name, initial_access_token: initialAccessToken })
  const registering = { client: registered('First client'), client2: registered('Second client') }
  const logout = { client: client(core.logout), client2: client(core.secondLogout) }
  return {
    'basic-static': {
      plan: 'oidcc-basic-certification-test-plan',
      variant: { ...discovery, ...asStatic },
      config: withPost,
    },
    'basic-dynamic': {
      plan: 'oidcc-basic-certification-test-plan',
      variant: { ...discovery, ...asDynamic },
      config: registering,
    },
    config: { plan: 'oidcc-config-certification-test-plan', variant: {}, config: known },
    formpost: {
      plan: 'oidcc-formpost-basic-certification-test-plan',
      variant: { ...discovery, ...asStatic },
      config: withPost,
    },
    dynamic: {
      plan: 'oidcc-dynamic-certification-test-plan',
      variant: code,
      config: registering,
      note: 'Before oidcc-server-rotate-keys is started, rotate the keys. The two modules of requests by reference fail.',
    },
    '3rdparty-init': {
      plan: 'oidcc-3rdparty-init-login-certification-test-plan',
      variant: code,
      config: registering,
    },
    'rp-initiated-logout': {
      plan: 'oidcc-rp-initiated-logout-certification-test-plan',
      variant: { ...asStatic, ...code },
      config: known,
    },
    backchannel: {
      plan: 'oidcc-backchannel-rp-initiated-logout-certification-test-plan',
      variant: { ...asStatic, ...code },
      config: logout,
    },
  }
}

function fapiPlans(issuer: string, kept: Kept): Record<string, Unnamed> {
  return Object.fromEntries(
    fapiVariants.map((variant) => [variantName(variant), fapiPlan(issuer, kept, variant)]),
  )
}

function fapiPlan(issuer: string, { credentials }: Kept, variant: FapiVariant): Unnamed {
  const [first, second] = credentials
  const client = (place: 1 | 2, { key }: typeof first) => ({
    client_id: fapiClientId(variant, place),
    scope: fapiScopes.join(' '),
    jwks: { keys: [key] },
    ...(variant.constrain === 'dpop' && { dpop_signing_alg: 'ES256' }),
  })
  const tls = ({ certificate: { certificate: cert, key } }: typeof first) => ({ cert, key })
  const isMutual = variant.auth === 'mtls' || variant.constrain === 'mtls'
  return {
    plan: variant.signed ? 'fapi2-message-signing-final-test-plan' : 'fapi2-security-profile-final-test-plan',
    variant: {
      ...{ client_auth_type: variant.auth, sender_constrain: variant.constrain },
      ...{ openid: 'openid_connect', fapi_profile: 'plain_fapi', authorization_request_type: 'simple' },
      ...(variant.signed && { fapi_request_method: 'signed_non_repudiation', fapi_response_mode: 'jarm' }),
    },
    config: {
      client: client(1, first),
      client2: client(2, second),
      ...(isMutual && { mtls: tls(first), mtls2: tls(second) }),
      resource: { resourceUrl: `${issuer}${routes.userinfo}` },
    },
  }
}
