import Router from '@koa/router'
import type { Context } from 'koa'
import type Provider from 'oidc-provider'
import { errors } from 'oidc-provider'
import { z } from 'zod'
import type { Accounts, SignUpOutcome } from './accounts.ts'
import { type Frame, frameOf } from './layout.ts'
import type { StoreAccount } from './state.ts'
import { interactionPath } from './upstream.ts'
import { sendConsent, sendExpired, sendSignIn, sendSignUp, sendSignUpDone } from './upstream-pages.ts'

type Interaction = Awaited<ReturnType<Provider['interactionDetails']>>

const signInForm = z.object({ email: z.string(), password: z.string() })

/** Sign-in, sign-up and consent with the store's own accounts; every answer goes back to the engine. */
export function createUpstreamRoutes(provider: Provider, accounts: Accounts, now: () => Date): Router {
  const router = new Router()
  const steps = stepsOf(provider, now)

  router.get(`${interactionPath}/:uid`, (ctx) =>
    steps.inside(ctx, (interaction, frame) => {
      const account = accounts.find(interaction.session?.accountId ?? '')
      const wantsOther = ctx.query.as === 'other'
      if (interaction.prompt.name === 'consent' && account && !wantsOther) {
        return sendConsent(ctx, frame, { scopes: scopesOf(interaction), account, path: ctx.path })
      }
      sendSignIn(ctx, frame, { path: ctx.path })
    }),
  )

  router.post(`${interactionPath}/:uid`, (ctx) =>
    steps.inside(ctx, async (interaction, frame) => {
      const form = signInForm.safeParse(ctx.request.body)
      const { email = '', password = '' } = form.data ?? {}
      const account = await accounts.authenticate(email, password)
      if (account) return steps.signIn(ctx, interaction, account)
      sendSignIn(ctx, frame, { path: ctx.path, failedEmail: email })
      ctx.status = 422
    }),
  )

  router.get(`${interactionPath}/:uid/sign-up`, (ctx) =>
    steps.inside(ctx, (_interaction, frame) => sendSignUp(ctx, frame, { path: ctx.path })),
  )

  router.post(`${interactionPath}/:uid/sign-up`, (ctx) =>
    steps.inside(ctx, async (interaction, frame) => {
      const result = await accounts.signUp(ctx.request.body)
      if (result.outcome === 'created') return steps.signIn(ctx, interaction, result.account)
      refuseSignUp(ctx, frame, result)
    }),
  )

  router.post(`${interactionPath}/:uid/consent`, (ctx) =>
    steps.inside(ctx, (interaction) => steps.consent(ctx, interaction)),
  )

  router.get('/store-account/sign-up', (ctx) => sendSignUp(ctx, frameOf(ctx), { path: ctx.path }))

  router.post('/store-account/sign-up', async (ctx) => {
    const result = await accounts.signUp(ctx.request.body)
    if (result.outcome === 'created') return sendSignUpDone(ctx, frameOf(ctx), result.account)
    refuseSignUp(ctx, frameOf(ctx), result)
  })
  return router
}

function refuseSignUp(
  ctx: Context,
  frame: Frame,
  result: Exclude<SignUpOutcome, { outcome: 'created' }>,
): void {
  sendSignUp(ctx, frame, {
    path: ctx.path,
    result,
    entered: z.record(z.string(), z.unknown()).catch({}).parse(ctx.request.body),
  })
  ctx.status = 422
}

function stepsOf(provider: Provider, now: () => Date) {
  /** The engine resumes the authorization where the browser is sent. */
  async function finish(ctx: Context, result: Parameters<Provider['interactionResult']>[2]): Promise<void> {
    ctx.status = 303
    ctx.redirect(
      await provider.interactionResult(ctx.req, ctx.res, result, { mergeWithLastSubmission: false }),
    )
  }

  return {
    /** Runs a step for the authorization this browser is in, or says that there is none. */
    async inside(
      ctx: Context,
      step: (interaction: Interaction, frame: Frame) => void | Promise<void>,
    ): Promise<void> {
      const interaction = await provider.interactionDetails(ctx.req, ctx.res).catch((error: unknown) => {
        if (error instanceof errors.SessionNotFound) return undefined
        throw error
      })
      if (!interaction) return sendExpired(ctx, frameOf(ctx))
      await step(interaction, frameOf(ctx, undefined, String(interaction.params.ui_locales ?? '')))
    },

    async signIn(ctx: Context, interaction: Interaction, account: StoreAccount): Promise<void> {
      const before = interaction.session
      // Another account takes over: the session of the one before must not carry on in its place.
      if (before && before.accountId !== account.sub) {
        await (await provider.Session.findByUid(before.uid))?.destroy()
        delete interaction.session
        await interaction.save(interaction.exp - Math.floor(now().getTime() / 1000))
      }
      await finish(ctx, { select_account: {}, login: { accountId: account.sub, amr: ['pwd'] } })
    },

    async consent(ctx: Context, interaction: Interaction): Promise<void> {
      const answer = z.object({ answer: z.literal('agree') }).safeParse(ctx.request.body)
      const accountId = interaction.session?.accountId
      if (!answer.success || !accountId) return finish(ctx, { error: 'access_denied' })
      const known = interaction.grantId ? await provider.Grant.find(interaction.grantId) : undefined
      const clientId = String(interaction.params.client_id)
      const grant = known ?? new provider.Grant({ accountId, clientId })
      grant.addOIDCScope(scopesOf(interaction).join(' '))
      await finish(ctx, { consent: { grantId: await grant.save() } })
    },
  }
}

/** The scopes that were not agreed to before, or all of them when the caller insists on asking again. */
function scopesOf(interaction: Interaction): string[] {
  const { missingOIDCScope: missing } = interaction.prompt.details
  const all = String(interaction.params.scope ?? '').split(' ')
  return Array.isArray(missing) ? missing.map(String) : all
}
