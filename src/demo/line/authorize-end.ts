import type { Context } from 'koa'
import { sendAuthorizationResponse } from './authorize-response.ts'
import type { StepFacts } from './authorize-step.ts'
import { issueCode } from './login.ts'
import type { Simulator } from './simulator.ts'

/** `friendship_status_changed` is there only if the add-friend option was really shown. */
export async function finishLogin(ctx: Context, sim: Simulator, facts: StepFacts): Promise<void> {
  const { request, friendshipChanged } = facts.login
  const code = issueCode(sim, facts)
  return sendAuthorizationResponse(ctx, sim, facts.channel, request, {
    code,
    state: request.state,
    friendship_status_changed: friendshipChanged === undefined ? undefined : String(friendshipChanged),
    ...(request.liffId && { liffClientId: facts.channel.id, liffRedirectUri: request.redirectUri }),
  })
}

const refusalTexts = {
  ACCESS_DENIED: 'The resource owner denied the request.',
  LOGIN_REQUIRED: 'The user is not logged in.',
  INTERACTION_REQUIRED: 'Auto login could not be carried out without a screen.',
} as const

export async function refuseLogin(
  ctx: Context,
  sim: Simulator,
  { login, channel }: StepFacts,
  error: keyof typeof refusalTexts,
): Promise<void> {
  delete sim.state.logins[login.id]
  const answer = { error, error_description: refusalTexts[error], state: login.request.state }
  return sendAuthorizationResponse(ctx, sim, channel, login.request, answer)
}
