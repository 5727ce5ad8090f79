import Negotiator from 'negotiator'

export type Language = 'en' | 'ja'

const en = {
  title: 'Demo inbox',
  lead: 'Every e-mail that the demo systems send arrives here, whoever it is for.',
  reload: 'Check for mail',
  clear: 'Delete all',
  filter: 'Recipient',
  filterButton: 'Show',
  showAll: 'Show all',
  from: 'From',
  to: 'To',
  received: 'Received',
  empty: 'No mail yet.',
  emptyHint: 'Sign up or change something in the demo, then check again.',
  noSubject: '(no subject)',
  back: 'All mail',
  asHtml: 'As the recipient sees it',
  asText: 'Plain text',
  missing: 'This mail is not here any more.',
  messages: 'messages',
  other: '日本語',
}

const ja: typeof en = {
  title: 'デモ受信箱',
  lead: 'デモの各システムが送ったメールは、宛先にかかわらずすべてここに届きます。',
  reload: '新着を確認',
  clear: 'すべて削除',
  filter: '宛先',
  filterButton: '絞り込む',
  showAll: 'すべて表示',
  from: '差出人',
  to: '宛先',
  received: '受信日時',
  empty: 'メールはまだありません。',
  emptyHint: 'デモで会員登録や変更をしてから、もう一度確認してください。',
  noSubject: '（件名なし）',
  back: '受信箱に戻る',
  asHtml: '受信者に見える表示',
  asText: 'テキスト',
  missing: 'このメールは見つかりません。',
  messages: '通',
  other: 'English',
}

export type Text = typeof en

export const texts: Record<Language, Text> = { en, ja }

/** An explicit choice wins over the browser's preference. */
export function pickLanguage(chosen: string | undefined, acceptLanguage: string | undefined): Language {
  if (chosen === 'en' || chosen === 'ja') return chosen
  const negotiator = new Negotiator({ headers: { 'accept-language': acceptLanguage ?? 'en' } })
  return negotiator.language(['en', 'ja']) === 'ja' ? 'ja' : 'en'
}
