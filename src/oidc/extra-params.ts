/**
 * Parameters of an authorization request that are ours. `connection` names an upstream to go straight to; whether it
 * can be followed is decided where the sign-in begins, so that no value of it breaks a request.
 */
export const extraParams = ['connection'] as const
