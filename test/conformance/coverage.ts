/**
 * Where each module of the plans is shown to hold here: the test file under test/ and its title, as written there. A
 * module that is out of reach says why.
 */
export type Coverage = `${string} > ${string}` | { outOfReach: string }

const core = 'protocol/oidc-core-authentication-request'
const requests = 'protocol/oidc-core-requests'
const claims = 'protocol/oidc-core-claims'
const hints = 'protocol/oidc-core-interface-hints'
const code = 'protocol/rfc6749-authorization-code'
const registration = 'protocol/rfc7591-registration'
const sector = 'protocol/oidc-registration'
const signOut = 'protocol/oidc-rp-initiated-logout'
const fapi = 'protocol/fapi2-security-profile'
const signed = 'protocol/fapi2-message-signing'
const pushed = 'protocol/rfc9126-pushed-authorization-requests'
const dpop = 'protocol/rfc9449-dpop'

const byReference = 'The engine takes no request objects by reference; discovery says so.'

const openIdConnect: Record<string, Coverage> = {
  'oidcc-server': `${code} > section 5.1: tokens come as JSON that nobody keeps`,
  'oidcc-response-type-missing': 'protocol/rfc6749-authorization-errors > that a parameter is missing',
  'oidcc-idtoken-signature':
    'protocol/oidc-core-id-token > section 15.1: ES256 signs, unless a client asks for RS256',
  'oidcc-idtoken-rs256':
    'protocol/oidc-core-id-token > section 15.1: ES256 signs, unless a client asks for RS256',
  'oidcc-idtoken-unsigned': `${requests} > a client cannot register for an ID token that nobody signed`,
  'oidcc-userinfo-get': `${claims} > section 5.3.1: GET and POST answer alike, and nobody keeps the answer`,
  'oidcc-userinfo-post-header': `${claims} > section 5.3.1: GET and POST answer alike, and nobody keeps the answer`,
  'oidcc-userinfo-post-body': `${claims} > section 5.3.1: GET and POST answer alike, and nobody keeps the answer`,
  'oidcc-userinfo-rs256': `${requests} > section 5.3.2: a client that asks for it gets userinfo signed with RS256`,
  'oidcc-ensure-request-without-nonce-succeeds-for-code-flow': `${requests} > without a nonce there is none in the ID token`,
  'oidcc-scope-profile': `${claims} > %s gives %j and nothing else`,
  'oidcc-scope-email': `${claims} > %s gives %j and nothing else`,
  'oidcc-scope-address': `${requests} > every scope of section 5.4 gives every claim it stands for`,
  'oidcc-scope-phone': `${requests} > every scope of section 5.4 gives every claim it stands for`,
  'oidcc-scope-all': `${requests} > every scope of section 5.4 gives every claim it stands for`,
  'oidcc-alternate-happy-flow': `${requests} > scopes may come in any order`,
  'oidcc-display-page': `${hints} > OpenID Connect Core 1.0 section 3.1.2.1: display`,
  'oidcc-display-popup': `${hints} > OpenID Connect Core 1.0 section 3.1.2.1: display`,
  'oidcc-prompt-login': `${core} > login asks again: the password alone makes a code, and auth_time is new`,
  'oidcc-prompt-none-not-logged-in': `${core} > none without a session is login_required and never a page`,
  'oidcc-prompt-none-logged-in': `${core} > none with session and consent is a code`,
  'oidcc-max-age-1': `${core} > a session older than max_age asks again, and without a page it is login_required`,
  'oidcc-max-age-10000': `${core} > a session younger than max_age is enough`,
  'oidcc-ensure-request-with-unknown-parameter-succeeds': `${requests} > a parameter nobody knows changes nothing`,
  'oidcc-id-token-hint': `${core} > for the member signed in, it is a code without a page`,
  'oidcc-login-hint': `${hints} > begins the form of %s`,
  'oidcc-ui-locales': `${hints} > %s is spoken as %s`,
  'oidcc-claims-locales': `${requests} > a parameter nobody knows changes nothing`,
  'oidcc-ensure-request-with-acr-values-succeeds':
    'protocol/oidc-core-acr > OpenID Connect Core 1.0 sections 3.1.2.1 and 5.5.1.1: acr',
  'oidcc-codereuse': `${code} > section 4.1.2: a code used a second time is refused and ends every token it gave`,
  'oidcc-codereuse-30seconds': `${code} > section 4.1.2: a code used a second time is refused and ends every token it gave`,
  'oidcc-ensure-registered-redirect-uri': `${code} > RFC 9700 section 2.1: a redirect_uri that differs by %s gets nobody redirected`,
  'oidcc-ensure-post-request-succeeds': `${core} > a form, which comes from another site and without cookies, gives a code`,
  'oidcc-server-client-secret-post': `${requests} > a client may send its secret in the form instead`,
  'oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported':
    'protocol/rfc9101-request-object > section 5.2: one that we would have to fetch is refused',
  'oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported':
    'protocol/rfc9101-request-object > section 10.2: one that is not signed is refused',
  'oidcc-claims-essential': `${claims} > a claim is given where it was asked for, and nowhere else`,
  'oidcc-ensure-request-object-with-redirect-uri':
    'protocol/rfc9101-request-object > section 6.3: what stands beside it is not asked for',
  'oidcc-refresh-token':
    'protocol/rfc6749-refresh > another client is refused, and the owner is not harmed by the try',
  'oidcc-ensure-request-with-valid-pkce-succeeds':
    'protocol/rfc7636-pkce > section 4.6: the verifier redeems the code',
  'oidcc-ensure-redirect-uri-in-authorization-request':
    'feature/authorization-errors > none at all, or two, is told with those that are registered',
  'oidcc-redirect-uri-query-OK': `${sector} > a redirect URI is compared with its query`,
  'oidcc-redirect-uri-query-mismatch': `${sector} > a redirect URI is compared with its query`,
  'oidcc-redirect-uri-query-added': `${sector} > a redirect URI is compared with its query`,
  'oidcc-redirect-uri-regfrag': `${registration} > RFC 7591 section 3.2.2: what is refused, and why`,
  'oidcc-discovery-endpoint-verification':
    'protocol/oidc-discovery > names the issuer and every endpoint under it',
  'oidcc-registration-logo-uri': 'feature/consent > who asks and where to read more, in %s',
  'oidcc-registration-policy-uri': 'feature/consent > who asks and where to read more, in %s',
  'oidcc-registration-tos-uri': 'feature/consent > who asks and where to read more, in %s',
  'oidcc-registration-jwks-uri': `${sector} > a new one is honored at once, whatever the copy of the old ones may still be good for`,
  'oidcc-registration-sector-uri':
    'protocol/oidc-core-pairwise > a sector_identifier_uri makes one sector of several hosts',
  'oidcc-registration-sector-bad': `${sector} > a document that %s is refused`,
  'oidcc-server-rotate-keys':
    'feature/signing-keys > no token fails to verify at a relying party that keeps the key set',
  'oidcc-refresh-token-rp-key-rotation': `${sector} > a new one is honored at once, whatever the copy of the old ones may still be good for`,
  'oidcc-request-uri-unsigned': { outOfReach: byReference },
  'oidcc-request-uri-signed-rs256': { outOfReach: byReference },
  'oidcc-ensure-client-assertion-with-iss-aud-succeeds':
    'protocol/rfc7523-client-assertion > OpenID Connect Core section 9: a relying party with private_key_jwt signs members in',
  'oidcc-3rd_party-init-login': `${sector} > initiate_login_uri (OpenID Connect Core section 4) is kept`,
  'oidcc-3rd_party-init-login-nohttps': `${sector} > initiate_login_uri is refused as %s`,
}

const logout: Record<string, Coverage> = {
  'oidcc-rp-initiated-logout-discovery-endpoint-verification':
    'protocol/oidc-discovery > names the issuer and every endpoint under it',
  'oidcc-rp-initiated-logout': `${signOut} > a registered address gets the browser and the state`,
  'oidcc-rp-initiated-logout-bad-post-logout-redirect-uri': `${signOut} > an address that differs by %s is refused, and nobody redirected`,
  'oidcc-rp-initiated-logout-modified-id-token-hint': `${signOut} > that %s is refused on a page of ours, and nobody redirected`,
  'oidcc-rp-initiated-logout-no-id-token-hint': `${signOut} > an address without a client to check it against is not followed`,
  'oidcc-rp-initiated-logout-no-params': `${signOut} > with %s the browser ends on a page of ours`,
  'oidcc-rp-initiated-logout-no-post-logout-redirect-uri': `${signOut} > with %s the browser ends on a page of ours`,
  'oidcc-rp-initiated-logout-no-state': `${signOut} > a client may be named instead of hinted at; without a state none comes back`,
  'oidcc-rp-initiated-logout-only-state': `${signOut} > with %s the browser ends on a page of ours`,
  'oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri': `${signOut} > an address that differs by %s is refused, and nobody redirected`,
  'oidcc-rp-initiated-logout-bad-id-token-hint': `${signOut} > an id_token_hint that somebody else signed is refused`,
  'oidcc-backchannel-logout-discovery-endpoint-verification':
    'protocol/oidc-back-channel-logout > section 2.1: discovery says that logout and its sessions are supported',
  'oidcc-backchannel-rp-initiated-logout':
    'protocol/oidc-back-channel-logout > has what the section asks for and nothing it forbids',
}

const assertion = `${fapi} > %s: an assertion is refused` as const
const pushedParameters = `${fapi} > %s are refused when pushed` as const
const parameters = `${fapi} > a request with %s gives tokens` as const
const bound = `${fapi} > 5.3.2.1 (12): a code bound to a key by %s is for that key alone` as const

const securityProfile: Record<string, Coverage> = {
  'discovery-end-point-verification': `${fapi} > section 5.3.2.1 (1): the metadata names what the profile asks for`,
  'happy-flow': `${fapi} > (10) (11): the answer is a 303, with a code and the issuer`,
  'user-rejects-authentication': `${fapi} > a member who cancels has denied access`,
  'ensure-authorization-request-without-state-success': parameters,
  'ensure-authorization-request-without-nonce-success': parameters,
  'ensure-authorization-request-with-64-char-nonce-success': parameters,
  'ensure-other-scope-order-succeeds': parameters,
  'test-claims-parameter-identity-claims': `${claims} > a claim is given where it was asked for, and nowhere else`,
  'access-token-type-header-case-sensitivity': `${requests} > RFC 9110 section 11.1: the scheme of an access token is read in any letter case`,
  'check-dpop-proof-nbf-exp': `${dpop} > section 4.3: a proof %s is refused`,
  'ensure-dpopproof-with-iat-10seconds-before-succeeds': `${fapi} > 5.3.2.1 (13): a proof whose clock is %i seconds off gives one`,
  'ensure-dpopproof-with-iat-10seconds-after-succeeds': `${fapi} > 5.3.2.1 (13): a proof whose clock is %i seconds off gives one`,
  'ensure-mismatched-dpop-jkt-fails': `${dpop} > section 10.1: a proof of one key and dpop_jkt of another are refused when pushed`,
  'ensure-token-endpoint-fails-with-mismatched-dpop-proof-jkt': bound,
  'ensure-token-endpoint-fails-with-mismatched-dpop-jkt': bound,
  'ensure-dpopproof-at-par-endpoint-binding-success': bound,
  'ensure-dpop-auth-code-binding-success': bound,
  'ensure-different-nonce-inside-and-outside-request-object': `${pushed} > section 4: what stands in the address besides adds nothing to what was pushed`,
  'ensure-different-state-inside-and-outside-request-object': `${pushed} > section 4: what stands in the address besides adds nothing to what was pushed`,
  'ensure-authorization-request-with-long-nonce': parameters,
  'ensure-authorization-request-with-long-state': parameters,
  'state-only-outside-request-object-not-used': `${pushed} > section 4: what stands in the address besides adds nothing to what was pushed`,
  'ensure-request-object-without-redirect-uri-fails': pushedParameters,
  'ensure-registered-redirect-uri': pushedParameters,
  'plain-fapi-tolerate-unregistered-redirect-uri': pushedParameters,
  'ensure-unsigned-authorization-request-without-using-par-fails': `${fapi} > (3): one that was not pushed is refused`,
  'ensure-redirect-uri-in-authorization-request': pushedParameters,
  'ensure-response-type-code-idtoken-fails': pushedParameters,
  'ensure-response-type-token-fails': pushedParameters,
  'ensure-client-id-in-token-endpoint': assertion,
  'ensure-holder-of-key-required': `${fapi} > 5.3.2.1 (4): there is no token without a proof of possession`,
  'ensure-authorization-code-is-bound-to-client': `${code} > a code of one client is refused to another`,
  'attempt-reuse-authorization-code-after-one-second': `${fapi} > 5.3.2.2 (9): a used code gives nothing, and takes back what it gave`,
  'ensure-token-endpoint-fails-with-expired-auth-code': `${fapi} > 5.3.2.1 (11): a code is good for a minute`,
  'ensure-signed-client-assertion-with-RS256-fails': assertion,
  'ensure-client-assertion-in-token-endpoint':
    'protocol/rfc7523-client-assertion > a client that has a key cannot do without',
  'ensure-client-assertion-with-exp-is-5-minutes-in-past-fails': assertion,
  'ensure-client-assertion-with-wrong-aud-fails': assertion,
  'ensure-client-assertion-with-no-sub-fails': assertion,
  'ensure-invalid-client-assertions-fail': assertion,
  'dpop-negative-tests': `${fapi} > RFC 9449 section 4.3: a proof %s gives none`,
  'refresh-token': `${fapi} > 5.3.2.1 (9): a refresh token stays the same and can be used again`,
  'par-ensure-reused-request-uri-prior-to-auth-completion-succeeds': `${fapi} > a request_uri is used up by the answer, not by a browser that loads it ahead`,
  'par-attempt-reuse-request_uri': `${fapi} > a request_uri is used up by the answer, not by a browser that loads it ahead`,
  'par-attempt-to-use-expired-request_uri': `${pushed} > section 2.2: after its time it is good for nothing`,
  'par-attempt-to-use-request_uri-for-different-client': `${fapi} > another client's request_uri is refused`,
  'par-authorization-request-containing-request_uri-form-param': `${pushed} > %s is refused when pushed`,
  'par-attempt-invalid-http-method': `${pushed} > section 2.3: another method than POST is not known`,
  'par-ensure-pkce-required': pushedParameters,
  'ensure-pkce-code-verifier-required': 'protocol/rfc7636-pkce > section 4.6: %s redeems no code',
  'incorrect-pkce-code-verifier-rejected': 'protocol/rfc7636-pkce > section 4.6: %s redeems no code',
  'par-plain-pkce-rejected': pushedParameters,
  'par-without-duplicate-parameters': `${pushed} > section 2: a parameter that is there twice is refused`,
  'par-ensure-jwt-client-assertions-nbf-8-seconds-in-the-future-is-accepted': `${fapi} > (13): one that is %s, by a clock that is a little ahead, is taken`,
  'par-test-par-endpoint-url-as-audience-fails': assertion,
}

const isRefused = `${signed} > one %s is refused` as const
const isTaken = `${signed} > one %s is taken` as const

const messageSigning: Record<string, Coverage> = {
  'ensure-request-object-with-multiple-aud-succeeds': isTaken,
  'ensure-request-object-with-nbf-8-seconds-in-the-future-is-accepted': isTaken,
  'ensure-request-object-without-exp-fails': isRefused,
  'ensure-request-object-without-nbf-fails': isRefused,
  'ensure-expired-request-object-fails': isRefused,
  'ensure-request-object-with-bad-aud-fails': isRefused,
  'ensure-request-object-with-exp-over-60-fails': isRefused,
  'ensure-request-object-with-nbf-over-60-fails': isRefused,
  'ensure-signed-request-object-with-RS256-fails': isRefused,
  'ensure-request-object-signature-algorithm-is-not-none': `${signed} > one that only looks so is refused`,
  'ensure-request-object-with-invalid-signature-fails': `${signed} > one signed with another key is refused`,
  'ensure-matching-key-in-authorization-request': `${signed} > one signed with another key is refused`,
  'ensure-unsigned-request-at-par-endpoint-fails': `${signed} > one that is not is refused`,
  'par-authorization-request-containing-request_uri': `${pushed} > %s is refused when pushed`,
}

const prefixed = (entries: Record<string, Coverage>) =>
  Object.fromEntries(
    Object.entries(entries).map(([name, where]) => [`fapi2-security-profile-final-${name}`, where]),
  )

export const coverage: Record<string, Coverage> = {
  ...openIdConnect,
  ...logout,
  ...prefixed(securityProfile),
  ...prefixed(messageSigning),
}
