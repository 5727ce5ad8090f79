import { errors, interactionPolicy, type KoaContextWithOIDC } from 'oidc-provider'
import type { SignIn } from '../members/authentication.ts'

const { Check } = interactionPolicy

/**
 * How a session was proved, as relying parties may ask for it and read it (OpenID Connect Core 2, acr): by one factor
 * here, or by an upstream's word, whatever that upstream asked for.
 */
const acr = { oneFactor: 'urn:hitotsu:acr:1fa', federated: 'urn:hitotsu:acr:federated' } as const

export const acrValues: readonly string[] = Object.values(acr)

/** The session says what was proved, never what was asked for. */
export function acrOf({ connectionId }: Pick<SignIn, 'connectionId'>): string {
  return connectionId ? acr.federated : acr.oneFactor
}

/**
 * OpenID Connect Core 5.5.1.1: an essential acr that cannot be met is a failed authentication, told with the code of
 * OpenID Connect Core Unmet Authentication Requirements 1.0. The engine asks for a sign-in as long as the acr differs;
 * this ends it where no sign-in helps, or one has just not helped.
 */
export function acrCheck(): interactionPolicy.Check {
  return new Check('acr', 'the requested acr cannot be met', 'unmet_authentication_requirements', refuseUnmet)
}

function refuseUnmet({ oidc }: KoaContextWithOIDC): boolean {
  const { essential, value, values } = oidc.claims?.id_token?.acr ?? {}
  if (!essential || !(value || Array.isArray(values))) return Check.NO_NEED_TO_PROMPT
  const meets = (known: string | undefined) =>
    (!value || value === known) && (!Array.isArray(values) || values.includes(known))
  const canHelp = acrValues.some(meets) && !oidc.result?.login
  if (!meets(oidc.acr) && !canHelp)
    throw new errors.UnmetAuthenticationRequirements('the requested acr cannot be met')
  return Check.NO_NEED_TO_PROMPT
}
