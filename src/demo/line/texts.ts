import type { Context } from 'koa'
import type { PageRefusalText } from './refusal.ts'

export type Texts = { lang: 'ja' | 'en' } & Record<TextKey, string>

type TextKey =
  | PageRefusalText
  | 'banner'
  | 'bannerNote'
  | 'errorTitle'
  | 'loginTitle'
  | 'loginTo'
  | 'choosePerson'
  | 'choosePersonNote'
  | 'orWithEmail'
  | 'email'
  | 'password'
  | 'logIn'
  | 'loginFailed'
  | 'qrTitle'
  | 'qrNote'
  | 'useQr'
  | 'useEmail'
  | 'ssoTitle'
  | 'continueAs'
  | 'useAnother'
  | 'twoFactorTitle'
  | 'twoFactorNote'
  | 'confirm'
  | 'consentTitle'
  | 'consentNote'
  | 'provider'
  | 'scopeOpenid'
  | 'scopeProfile'
  | 'scopeChat'
  | 'scopeEmail'
  | 'required'
  | 'optional'
  | 'addFriend'
  | 'unblock'
  | 'allow'
  | 'cancel'
  | 'friendTitle'
  | 'friendNote'
  | 'returnTitle'
  | 'returnButton'
  | 'accountLinkTitle'
  | 'accountLinkNote'
  | 'accountLinkAs'
  | 'accountLinkDone'
  | 'accountLinkDoneNote'

const ja: Texts = {
  lang: 'ja',
  banner: 'LINE simulator',
  bannerNote: '本物のLINEではありません。動作を試すための画面です。',
  errorTitle: 'エラー',
  invalidRedirectUri: 'Invalid redirect_uri value. Check if it is registered in a LINE developers site.',
  invalidClientId:
    'Invalid client_id. You can use a Channel ID found in a LINE developers site as client_id.',
  developingChannel: 'This channel is now developing status. User need to have developer role.',
  loginExpired: 'ログインの有効期限が切れました。元のサイトからもう一度お試しください。',
  linkExpired: 'このリンクは有効期限が切れているか、すでに使われています。',
  invalidNonce: 'リンクの内容に誤りがあります (nonce)。',
  loginTitle: 'LINEログイン',
  loginTo: '{channel} にログインします',
  choosePerson: '試す人を選ぶ',
  choosePersonNote: '選ぶと、その人のメールアドレスとパスワードでログインしたことになります。',
  orWithEmail: 'メールアドレスでログイン',
  email: 'メールアドレス',
  password: 'パスワード',
  logIn: 'ログイン',
  loginFailed: 'メールアドレスまたはパスワードが正しくありません。',
  qrTitle: 'QRコードでログイン',
  qrNote: 'LINEアプリでQRコードを読み取った人を選んでください。',
  useQr: 'QRコードでログインする',
  useEmail: 'メールアドレスでログインする',
  ssoTitle: 'このアカウントで続けますか',
  continueAs: '{person} として続ける',
  useAnother: '別のアカウントを使う',
  twoFactorTitle: '2要素認証',
  twoFactorNote: 'LINEアプリで次の番号を入力したものとして進みます: {pin}',
  confirm: '確認',
  consentTitle: '{channel} に許可しますか',
  consentNote: '次の情報が提供元に渡されます。',
  provider: '提供元: {provider}',
  scopeOpenid: 'ユーザー識別子',
  scopeProfile: 'プロフィール情報 (表示名・画像)',
  scopeChat: 'トークへのメッセージ送信',
  scopeEmail: 'メールアドレス ({email})',
  required: '必須',
  optional: '任意',
  addFriend: '{bot} を友だち追加する',
  unblock: '{bot} のブロックを解除する',
  allow: '許可する',
  cancel: 'キャンセル',
  friendTitle: '友だち追加',
  friendNote: '公式アカウントからのお知らせを受け取れます。',
  returnTitle: '元のサイトに戻ります',
  returnButton: '続ける',
  accountLinkTitle: 'アカウント連携',
  accountLinkNote: 'このリンクを開いたLINEの利用者を選んでください。',
  accountLinkAs: '{person} として開く',
  accountLinkDone: '確認が終わりました',
  accountLinkDoneNote: '結果は公式アカウントのサーバーに送られました。この画面を閉じてください。',
}

const en: Texts = {
  lang: 'en',
  banner: 'LINE simulator',
  bannerNote: 'This is not LINE. These screens are for trying things out.',
  errorTitle: 'Error',
  invalidRedirectUri: ja.invalidRedirectUri,
  invalidClientId: ja.invalidClientId,
  developingChannel: ja.developingChannel,
  loginExpired: 'This login has expired. Please start again from the site you came from.',
  linkExpired: 'This link has expired or was already used.',
  invalidNonce: 'This link is not well formed (nonce).',
  loginTitle: 'LINE Login',
  loginTo: 'Log in to {channel}',
  choosePerson: 'Choose a person to try',
  choosePersonNote: "Counts as a login with that person's e-mail address and password.",
  orWithEmail: 'Log in with e-mail',
  email: 'E-mail address',
  password: 'Password',
  logIn: 'Log in',
  loginFailed: 'The e-mail address or the password is not correct.',
  qrTitle: 'Log in with QR code',
  qrNote: 'Choose who read the QR code with the LINE app.',
  useQr: 'Log in with QR code',
  useEmail: 'Log in with e-mail',
  ssoTitle: 'Continue with this account?',
  continueAs: 'Continue as {person}',
  useAnother: 'Use another account',
  twoFactorTitle: 'Two-factor authentication',
  twoFactorNote: 'Goes on as if this number was entered in the LINE app: {pin}',
  confirm: 'Confirm',
  consentTitle: 'Allow {channel}?',
  consentNote: 'The following will be given to the provider.',
  provider: 'Provider: {provider}',
  scopeOpenid: 'Your internal identifier',
  scopeProfile: 'Your profile (display name and picture)',
  scopeChat: 'Sending messages to your chats',
  scopeEmail: 'Your e-mail address ({email})',
  required: 'required',
  optional: 'optional',
  addFriend: 'Add {bot} as a friend',
  unblock: 'Unblock {bot}',
  allow: 'Allow',
  cancel: 'Cancel',
  friendTitle: 'Add friend',
  friendNote: 'You will receive messages from the official account.',
  returnTitle: 'Returning to the site you came from',
  returnButton: 'Continue',
  accountLinkTitle: 'Account link',
  accountLinkNote: 'Choose the LINE person who opened this link.',
  accountLinkAs: 'Open as {person}',
  accountLinkDone: 'The check is done',
  accountLinkDoneNote: 'The result was sent to the server of the official account. You can close this page.',
}

/** The first of `ui_locales` that is spoken here, then of the browser's languages, then Japanese. */
export function textsFor(ctx: Context, uiLocales = ''): Texts {
  const wanted = uiLocales.split(' ').map((tag) => tag.toLowerCase().split('-')[0])
  const named = wanted.find((language) => language === 'ja' || language === 'en')
  return (named ?? ctx.acceptsLanguages('ja', 'en')) === 'en' ? en : ja
}

export function fill(text: string, values: Record<string, string>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole)
}
