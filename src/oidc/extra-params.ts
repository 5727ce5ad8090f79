/**
 * Parameters of an authorization request that are ours. `connection` names an upstream to go straight to,
 * `link_connection` one whose account is to be linked. Whether that can be done is decided on the way, so that no value
 * breaks a request.
 */
export const extraParams = ['connection', 'link_connection'] as const
