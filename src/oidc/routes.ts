/** Where each endpoint of the engine is. */
export const routes = {
  authorization: '/authorize',
  token: '/token',
  userinfo: '/userinfo',
  jwks: '/jwks',
  introspection: '/introspect',
  revocation: '/revoke',
  pushed_authorization_request: '/par',
  registration: '/register',
  end_session: '/sign-out',
  device_authorization: '/device-authorization',
  /** Short, because people type it. */
  code_verification: '/device',
} as const
