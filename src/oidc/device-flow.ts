import { type Configuration, errors, type KoaContextWithOIDC, Provider } from 'oidc-provider'
import { type Budget, sourceOf, spend } from '../http/rate-limit.ts'
import { Problem } from '../problem.ts'
import { digest } from '../security/digest.ts'
import type { Ephemeral } from '../store/ephemeral.ts'
import { confirmPage, connectedPage, enterCodePage, readUserCode } from './device-pages.ts'
import { tellUnavailable } from './unavailable.ts'

type DeviceCode = InstanceType<Provider['DeviceCode']>
type FindDeviceCode = (value: string, options?: object) => Promise<DeviceCode | undefined>
type DeviceFlow = NonNullable<NonNullable<Configuration['features']>['deviceFlow']>

/** RFC 8628 section 3.2: seconds between two questions of one device. */
const pollSeconds = 5

/**
 * RFC 8628 section 5.1: a code has 34 bits, so guesses are counted, from one source and from anywhere, found or not.
 * A device that is connected takes two: looking at the page, and agreeing on it.
 */
const perSource: Budget = { name: 'user-code-source', limit: 60, windowSeconds: 600 }
const inAll: Budget = { name: 'user-code', limit: 6_000, windowSeconds: 600 }

/** Device authorization (RFC 8628): something without a keyboard shows a code, and a member enters it elsewhere. */
export function deviceFlow(): DeviceFlow {
  return {
    enabled: true,
    // RFC 8628 section 6.1: no vowels, so no words; nothing that looks like something else.
    charset: 'base-20',
    mask: '****-****',
    deviceInfo: (ctx) => ({ ip: ctx.ip, userAgent: ctx.get('user-agent').slice(0, 300) }),
    userCodeInputSource: (ctx, _form, _out, error) => enterCodePage(ctx, error),
    userCodeConfirmSource: (ctx, _form, client, deviceInfo, userCode) =>
      confirmPage(ctx, client, deviceInfo, userCode),
    successSource: connectedPage,
  }
}

/** What the engine leaves to us of RFC 8628: counting guesses, a pace for devices, and a code that comes in the address. */
export function guardDeviceFlow(provider: Provider, store: Ephemeral): void {
  const { DeviceCode } = provider

  const findByUserCode = DeviceCode.findByUserCode.bind(DeviceCode)
  // Where the engine looks, before it is known whether there is such a code.
  DeviceCode.findByUserCode = async (userCode, options) => {
    await countGuess(store, Provider.ctx).catch(tellEngine)
    return findByUserCode(userCode, options)
  }

  const find = DeviceCode.find.bind(DeviceCode) as FindDeviceCode
  DeviceCode.find = (async (value, options) => {
    const code = await find(value, options)
    if (code && Provider.ctx?.oidc.route === 'token') await keepPace(store, code).catch(tellUnavailable)
    return code
  }) as FindDeviceCode as typeof DeviceCode.find

  provider.on('device_authorization.success', (_ctx, body) => Object.assign(body, { interval: pollSeconds }))
  provider.use(async (koaContext, next) => {
    const ctx = koaContext as unknown as KoaContextWithOIDC
    const policy = ctx.response.get('Content-Security-Policy')
    await next()
    if (ctx.oidc?.route !== 'code_verification' || ctx.method === 'POST' || ctx.status !== 200) return
    const { user_code: asked } = ctx.oidc.params ?? {}
    if (typeof asked !== 'string' || asked === '') return
    // The engine has allowed the script of its own page.
    ctx.set('Content-Security-Policy', policy)
    await countGuess(store, ctx)
    await answerCodeInAddress(ctx, await findByUserCode(readUserCode(asked), { ignoreExpiration: true }))
  })
}

/** @throws Problem too_many_requests */
async function countGuess(store: Ephemeral, ctx: KoaContextWithOIDC | undefined): Promise<void> {
  await spend(store, perSource, sourceOf(ctx?.ip ?? ''))
  await spend(store, inAll, 'all')
}

/** In words the engine hands to its page, which passes the refusal on to whoever answers refusals. */
function tellEngine(cause: unknown): never {
  if (!(cause instanceof Problem)) throw cause
  throw Object.assign(new errors.InvalidRequest('too many codes were tried'), { cause })
}

/** RFC 8628 section 3.5: a device that asks too soon is told so. A second is forgiven for the way here. */
async function keepPace(store: Ephemeral, { jti, accountId, error, isExpired }: DeviceCode): Promise<void> {
  if (accountId || error || isExpired) return
  if (!(await store.setIfAbsent(`oidc:device-poll:${digest(jti)}`, '1', pollSeconds - 1)))
    throw new errors.SlowDown()
}

/**
 * RFC 8628 section 3.3.1: an address that holds the code leads to the page on which it is compared and agreed to. The
 * engine would answer with a page that sends itself by a script.
 */
async function answerCodeInAddress(ctx: KoaContextWithOIDC, code: DeviceCode | undefined): Promise<void> {
  if (!code) return enterCodePage(ctx, 'not_found')
  if (code.isExpired) return enterCodePage(ctx, 'expired')
  if (code.error || code.accountId || code.inFlight) return enterCodePage(ctx, 'used')
  const client = await ctx.oidc.provider.Client.find(code.clientId ?? '')
  if (!client) return enterCodePage(ctx, 'not_found')
  confirmPage(ctx, client, code.deviceInfo ?? {}, code.userCode)
}
