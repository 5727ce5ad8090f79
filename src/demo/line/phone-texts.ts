import type { Texts } from './texts.ts'

const ja = {
  phonesTitle: 'LINEアプリ',
  phonesNote: 'だれのLINEアプリを開きますか。',
  phoneTitle: '{person} のLINEアプリ',
  inHand: 'このブラウザは、このアプリから自動でログインします。',
  putAway: '自動ログインをやめる',
  takeInHand: 'このアプリで自動ログインする',
  noFriend: 'まだ友だちではありません。',
  blocked: 'ブロックしています。',
  addFriend: '友だち追加',
  block: 'ブロック',
  unblock: 'ブロック解除',
  noMessages: 'メッセージはありません。',
  say: 'メッセージ',
  send: '送信',
  refresh: '表示を更新',
  menu: 'メニュー',
  apps: '連動アプリ',
  noApps: '連動アプリはありません。',
  removeApp: '{channel} の連動を解除',
  back: 'ほかの人のアプリ',
}

const en: typeof ja = {
  phonesTitle: 'LINE app',
  phonesNote: 'Whose LINE app do you want to open?',
  phoneTitle: 'LINE app of {person}',
  inHand: 'This browser logs in from this app by itself.',
  putAway: 'Stop auto login',
  takeInHand: 'Auto login with this app',
  noFriend: 'Not a friend yet.',
  blocked: 'Blocked.',
  addFriend: 'Add friend',
  block: 'Block',
  unblock: 'Unblock',
  noMessages: 'There are no messages.',
  say: 'Message',
  send: 'Send',
  refresh: 'Look again',
  menu: 'Menu',
  apps: 'Authorized apps',
  noApps: 'There are no authorized apps.',
  removeApp: 'Unlink {channel}',
  back: "Other people's apps",
}

export type PhoneTexts = typeof ja

export function phoneTextsFor({ lang }: Texts): PhoneTexts {
  return lang === 'ja' ? ja : en
}
