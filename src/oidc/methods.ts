import type { HttpMiddleware } from '../http/context.ts'
import { Problem } from '../problem.ts'
import { routes } from './routes.ts'

const read = ['GET', 'HEAD']
/** Forms are `postRequests`' business. */
const readOrPost = [...read, 'POST']
/** Answers to preflights of browsers (CORS) come from the engine. */
const post = ['POST', 'OPTIONS']

const methods = {
  authorization: readOrPost,
  token: post,
  userinfo: [...read, ...post],
  jwks: [...read, 'OPTIONS'],
  introspection: post,
  revocation: post,
  pushed_authorization_request: post,
  // RFC 7591 section 3: not for browsers.
  registration: ['POST'],
  end_session: readOrPost,
  device_authorization: post,
  code_verification: readOrPost,
} satisfies Record<keyof typeof routes, string[]>

const byPath = new Map<string, string[]>([
  ...Object.entries(routes).map(([name, path]): [string, string[]] => [
    path,
    methods[name as keyof typeof routes],
  ]),
  [`${routes.end_session}/confirm`, ['POST']],
  [`${routes.end_session}/success`, read],
  ['/.well-known/openid-configuration', [...read, 'OPTIONS']],
  ['/.well-known/oauth-authorization-server', [...read, 'OPTIONS']],
])

/** Of the addresses one step below. */
const below = new Map<string, string[]>([
  [routes.authorization, read],
  [routes.registration, [...read, 'PUT', 'DELETE']],
  [routes.code_verification, read],
])

/** What programs ask, each with the address as it is written: no page of ours is there. */
const machinePaths: ReadonlySet<string> = new Set([
  routes.token,
  routes.userinfo,
  routes.introspection,
  routes.revocation,
  routes.jwks,
  routes.pushed_authorization_request,
  routes.device_authorization,
  '/.well-known/openid-configuration',
])

/** Programs come by the thousand: they are not led past every page. */
export function machinesFirst(engine: HttpMiddleware): HttpMiddleware {
  return (ctx, next) => (machinePaths.has(ctx.path) ? engine(ctx, next) : next())
}

/** RFC 9110 section 15.5.6: an endpoint that is there, asked in a way it does not know, is not "not found". */
export const refuseOtherMethods: HttpMiddleware = (ctx, next) => {
  // The engine takes its paths in any letter case and with a slash at the end.
  const path = ctx.path.toLowerCase().replace(/(.)\/$/, '$1')
  const allowed = byPath.get(path) ?? below.get(path.slice(0, Math.max(0, path.lastIndexOf('/'))))
  if (!allowed || allowed.includes(ctx.method)) return next()
  throw new Problem('method_not_allowed', { headers: { Allow: allowed.join(', ') } })
}
