import type { Context } from 'koa'
import { type Html, html } from '../html.ts'
import { demoEmails, demoPassword, type SignUpField, type SignUpOutcome } from './accounts.ts'
import { type Frame, frameOf, sendNotice, sendPage } from './layout.ts'
import type { StoreAccount } from './state.ts'
import type { Text } from './text-en.ts'

export function sendSignIn(ctx: Context, frame: Frame, form: { path: string; failedEmail?: string }): void {
  const { text } = frame
  const failed = form.failedEmail !== undefined
  const body = html`<section class="form-card">
      <h1>${text.accountSignInTitle}</h1>
      <p>${text.accountSignInText}</p>
      ${failed && html`<p class="alert" role="alert" id="failed">${text.accountSignInFailed}</p>`}
      <form method="post" action="${form.path}">
        ${field({ name: 'email', type: 'email', label: text.email, autocomplete: 'username', value: form.failedEmail, error: failed && 'failed' })}
        ${field({ name: 'password', type: 'password', label: text.password, autocomplete: 'current-password', error: failed && 'failed' })}
        <button type="submit">${text.accountSignInButton}</button>
      </form>
      <p>${text.noAccountYet} <a href="${form.path}/sign-up">${text.signUpTitle}</a></p>
    </section>
    ${demoAccounts(text)}`
  sendPage(ctx, frame, text.accountSignInTitle, body, 'narrow')
}

function demoAccounts(text: Text): Html {
  return html`<aside class="hint" aria-labelledby="demo-accounts">
    <h2 id="demo-accounts">${text.demoAccounts}</h2>
    <ul>${demoEmails.map((email) => html`<li><code>${email}</code></li>`)}</ul>
    <p>${text.demoPasswordLabel}: <code>${demoPassword}</code></p>
  </aside>`
}

interface SignUpForm {
  path: string
  result?: Exclude<SignUpOutcome, { outcome: 'created' }>
  entered?: Record<string, unknown>
}

export function sendSignUp(ctx: Context, frame: Frame, form: SignUpForm): void {
  const { text } = frame
  const problems = signUpProblems(text, form.result)
  const value = (name: SignUpField) => String(form.entered?.[name] ?? '')
  const body = html`<section class="form-card">
    <h1>${text.signUpTitle}</h1>
    <p>${text.signUpText}</p>
    ${form.result && html`<p class="alert" role="alert">${text.errorSummary}</p>`}
    <form method="post" action="${form.path}">
      ${field({ name: 'name', type: 'text', label: text.name, autocomplete: 'name', value: value('name'), problem: problems.name })}
      ${field({ name: 'email', type: 'email', label: text.email, autocomplete: 'email', value: value('email'), problem: problems.email })}
      ${field({ name: 'password', type: 'password', label: text.password, autocomplete: 'new-password', hint: text.passwordHint, problem: problems.password })}
      <button type="submit">${text.signUpButton}</button>
    </form>
    ${
      form.path.endsWith('/sign-up') &&
      form.path !== '/store-account/sign-up' &&
      html`<p>${text.haveAccount} <a href="${form.path.replace(/\/sign-up$/, '')}">${text.accountSignInButton}</a></p>`
    }
  </section>`
  sendPage(ctx, frame, text.signUpTitle, body, 'narrow')
}

function signUpProblems(text: Text, result: SignUpForm['result']): Partial<Record<SignUpField, string>> {
  if (!result) return {}
  if (result.outcome === 'email_taken') return { email: text.emailTaken }
  const words = { name: text.nameInvalid, email: text.emailInvalid, password: text.passwordInvalid }
  return Object.fromEntries(result.fields.map((name) => [name, words[name]]))
}

export function sendSignUpDone(ctx: Context, frame: Frame, account: StoreAccount): void {
  const { text } = frame
  const body = html`<section class="form-card"><h1>${text.signUpDoneTitle}</h1>
    <p>${text.signUpDoneText}</p>
    <dl class="facts">
      <div><dt>${text.accountNumber}</dt><dd><code>${account.sub}</code></dd></div>
      <div><dt>${text.email}</dt><dd>${account.email}</dd></div>
    </dl>
    <p class="ways"><a class="button" href="/">${text.backToShop}</a></p></section>`
  sendPage(ctx, frame, text.signUpDoneTitle, body, 'narrow')
}

interface Field {
  name: string
  type: 'text' | 'email' | 'password'
  label: string
  autocomplete: string
  value?: string | undefined
  hint?: string
  problem?: string | undefined
  /** Id of a message elsewhere on the page that is about this field. */
  error?: string | false
}

function field(it: Field): Html {
  const noteId = `${it.name}-note`
  const note = it.problem ?? it.hint
  const describedBy = it.error || (note && noteId)
  return html`<div class="field">
    <label for="${it.name}">${it.label}</label>
    <input id="${it.name}" name="${it.name}" type="${it.type}" autocomplete="${it.autocomplete}" required
      ${it.value && html`value="${it.value}"`} ${describedBy && html`aria-describedby="${describedBy}"`}
      ${(it.problem || it.error) && html`aria-invalid="true"`}>
    ${note && html`<p id="${noteId}" class="${it.problem ? 'problem' : 'soft'}">${note}</p>`}
  </div>`
}

export function sendConsent(
  ctx: Context,
  frame: Frame,
  ask: { scopes: string[]; account: StoreAccount; path: string },
): void {
  const { text } = frame
  const words: Record<string, string> = {
    openid: text.consentSub,
    profile: text.consentProfile,
    email: text.consentEmail,
    offline_access: text.consentOffline,
  }
  const items = ask.scopes.flatMap((scope) => words[scope] ?? [])
  const body = html`<section class="form-card">
    <h1>${text.consentTitle}</h1>
    <p><strong>${text.consentClient}</strong> ${text.consentText}</p>
    <ul class="ticks">${items.map((item) => html`<li>${item}</li>`)}</ul>
    <p class="soft">${text.consentNote}</p>
    <div class="who"><span>${text.signedInAs} <strong>${ask.account.name}</strong><br>${ask.account.email}</span>
      <a href="${ask.path}?as=other">${text.useAnother}</a></div>
    <form method="post" action="${ask.path}/consent" class="stack">
      <button type="submit" name="answer" value="agree">${text.agree}</button>
      <button type="submit" name="answer" value="decline" class="quiet">${text.decline}</button>
    </form>
  </section>`
  sendPage(ctx, frame, text.consentTitle, body, 'narrow')
}

export function sendExpired(ctx: Context, frame: Frame): void {
  const { accountExpiredTitle: title, accountExpiredText: text, backToShop } = frame.text
  sendNotice(ctx, frame, { title, text, ways: html`<a class="button" href="/">${backToShop}</a>` })
  ctx.status = 400
}

/** An authorization request that cannot be answered at its redirect URI. */
export function sendEngineError(
  ctx: Context,
  out: { error: string; error_description?: string | undefined },
): void {
  const frame = frameOf(ctx)
  const { status } = ctx
  sendNotice(ctx, frame, {
    title: frame.text.engineErrorTitle,
    text: frame.text.engineErrorText,
    ways: html`<a class="button" href="/">${frame.text.backToShop}</a>`,
    detail: out.error_description ? `${out.error}: ${out.error_description}` : out.error,
  })
  ctx.status = status
}

/** The engine's form carries the proof that the question was ours; its buttons stand outside of it. */
export function sendSignOutPage(ctx: Context, form: string): void {
  const frame = frameOf(ctx)
  const { text } = frame
  const body = html`<section class="form-card"><h1>${text.signOutAccountTitle}</h1>
    <p>${text.signOutAccountText}</p>${{ markup: form }}
    <div class="stack">
      <button type="submit" form="op.logoutForm" name="logout" value="yes">${text.signOutTitle}</button>
      <button type="submit" form="op.logoutForm" class="quiet">${text.stay}</button>
    </div></section>`
  sendPage(ctx, frame, text.signOutAccountTitle, body, 'narrow')
}

export function sendSignedOut(ctx: Context): void {
  const frame = frameOf(ctx)
  const { signedOutTitle: title, signedOutText: text, backToShop } = frame.text
  sendNotice(ctx, frame, { title, text, ways: html`<a class="button" href="/">${backToShop}</a>` })
}
