import { expect, test } from 'vitest'
import { type InteractionState, nextStep, type Step } from '../../src/interaction/next-step.ts'

const arrival: InteractionState = {
  prompt: 'login',
  signedIn: false,
  registering: false,
  recovering: false,
  link: undefined,
  renewal: false,
  offer: false,
  hinted: false,
}

test.each<[string, Partial<InteractionState>, Step]>([
  [
    'nothing but the agreement is asked when only that is missing',
    { prompt: 'consent', signedIn: true },
    'grant_consent',
  ],
  ['a stranger signs in', {}, 'sign_in'],
  ['a stranger who asked to become a member signs up', { prompt: 'create' }, 'sign_up'],
  ['a connection that was asked for is gone to before any page', { hinted: true }, 'go_to_connection'],
  ['also by those who come to sign up', { hinted: true, prompt: 'create' }, 'go_to_connection'],
  ['never instead of an agreement', { hinted: true, prompt: 'consent' }, 'grant_consent'],
  ['never by who is signed in', { hinted: true, signedIn: true }, 'finish'],
  ['never in the middle of a registration', { hinted: true, registering: true }, 'verify_email'],
  ['never in the middle of a recovery', { hinted: true, recovering: true }, 'reset_password'],
  ['a registration goes on with its code', { prompt: 'create', registering: true }, 'verify_email'],
  ['a recovery goes on with its code', { recovering: true }, 'reset_password'],
  [
    'a link that was asked for is followed, and nothing else',
    { prompt: 'link', hinted: true },
    'follow_link_request',
  ],
  ['who is signed in is done', { signedIn: true }, 'finish'],
  ['who can be asked to link is asked before', { signedIn: true, offer: true }, 'offer_link'],
  [
    'an agreement to give anew comes before what is only offered',
    { signedIn: true, renewal: true, offer: true },
    'renew_consent',
  ],
  [
    'an offer is never in the way of a consent',
    { prompt: 'consent', signedIn: true, offer: true },
    'grant_consent',
  ],
  ['an offer is made to nobody who has not signed in', { offer: true }, 'sign_in'],
  [
    'an agreement that has to be given anew is asked for first',
    { signedIn: true, renewal: true },
    'renew_consent',
  ],
  [
    'but not before what was proved is linked',
    { signedIn: true, renewal: true, link: 'ask_to_link' },
    'confirm_link',
  ],
  ['who has proved the address is done', { signedIn: true, registering: true }, 'finish'],
  ['who has set a new password is done', { signedIn: true, recovering: true }, 'finish'],
  ['a linked identity is as good as signing in', { link: 'sign_in' }, 'accept_identity'],
  [
    'a linked identity counts above a sign-in of before',
    { link: 'sign_in', signedIn: true },
    'accept_identity',
  ],
  ['an unknown identity brings a new member', { link: 'register' }, 'sign_up'],
  [
    'an unknown identity of a member-to-be waits for the code',
    { link: 'register', registering: true },
    'verify_email',
  ],
  ['an identity that names a known address needs the proof of it', { link: 'ask_to_sign_in' }, 'sign_in'],
  [
    'that proof is asked of those as well who came to sign up',
    { link: 'ask_to_sign_in', prompt: 'create' },
    'sign_in',
  ],
  [
    'who forgot the password may recover first',
    { link: 'ask_to_sign_in', recovering: true },
    'reset_password',
  ],
  ['an account that is kept for who unlinked it brings nobody new', { link: 'ask_former_member' }, 'sign_in'],
  ['not even where one came to sign up', { link: 'ask_former_member', prompt: 'create' }, 'sign_in'],
  ['a link is mended on its own page', { link: 'relink', signedIn: true }, 'confirm_link'],
  ['nothing is linked before the member agreed', { link: 'ask_to_link', signedIn: true }, 'confirm_link'],
  ['a conflict is told before the authorization goes on', { link: 'refuse', signedIn: true }, 'confirm_link'],
  [
    'an identity that is linked by now asks for nothing more',
    { link: 'already_linked', signedIn: true },
    'finish',
  ],
])('%s', (_, state, step) => {
  expect(nextStep({ ...arrival, ...state })).toBe(step)
})
