;((script, told) => {
  const { client, connection, name, line, reward } = { ...script?.dataset, ...told }
  const { linked = '', days = '7', theme, return: back } = script?.dataset ?? {}
  if (!client || !connection || linked.split(/\s+/).includes(connection)) return
  if (!('adoptedStyleSheets' in document)) return

  const key = `hitotsu-link-prompt:${client}:${connection}`
  const rest = (count) => localStorage.setItem(key, String(Date.now() + count * 86_400_000))
  const query = new URLSearchParams({ client, connection })
  const at = (path) => new URL(`${path}?${query}`, script.src)
  try {
    // What cannot be remembered would be shown for ever.
    const isOpen = sessionStorage.getItem(key) === 'open'
    if (!isOpen && Number(localStorage.getItem(key)) > Date.now()) return
    rest(Number(days) || 7)
    sessionStorage.setItem(key, 'open')
    if (!isOpen)
      fetch(at('/link-prompt/shown'), {
        method: 'POST',
        mode: 'no-cors',
        credentials: 'omit',
        keepalive: true,
      }).catch(() => {})
  } catch {
    return
  }

  const language = script.closest('[lang]')?.lang || navigator.language
  const isJapanese = language.toLowerCase().startsWith('ja')
  const word = (words) => (typeof words === 'object' ? words[isJapanese ? 'ja' : 'en'] : words)
  const account = word(name) || connection
  const text = isJapanese
    ? {
        title: `${account}のアカウントを連携できます`,
        link: '連携する',
        close: '閉じる',
        reward: (label) => `はじめての連携で「${label}」を進呈中`,
      }
    : {
        title: `Link your ${account} account`,
        link: 'Link',
        close: 'Close',
        reward: (label) => `Reward for linking for the first time: ${label}`,
      }

  const element = (tag, properties, ...children) => {
    const made = Object.assign(document.createElement(tag), properties)
    made.append(...children)
    return made
  }
  const forget = () => sessionStorage.removeItem(key)
  const box = element('div', { lang: isJapanese ? 'ja' : 'en' })
  const sheet = new CSSStyleSheet()
  const dark =
    '--ground:#19212c;--ink:#edf0f5;--soft:#abb5c3;--rule:#77839a;--act:#a8c3f5;--on:#0d1a31;--focus:#8db5ff'
  const isDark = theme === 'dark' ? 'all' : '(prefers-color-scheme: dark)'
  sheet.replaceSync(`
    :host{all:initial;display:block;margin:16px 0}
    section{--ground:#fff;--ink:#1a2331;--soft:#525d6c;--rule:#827c70;--act:#233f73;--on:#fff;--focus:#1d5fd1;
      box-sizing:border-box;display:flex;flex-wrap:wrap;align-items:center;gap:8px 16px;padding:12px 16px;
      border:1px solid var(--rule);border-radius:12px;background:var(--ground);color:var(--ink);
      font:400 16px/1.6 system-ui,-apple-system,"Hiragino Sans","Noto Sans JP",sans-serif}
    ${theme === 'light' ? '' : `@media ${isDark}{section{${dark}}}`}
    div{flex:1 1 14em}p{margin:0;font-weight:700}p+p{font-weight:400;font-size:14px;color:var(--soft)}
    a,button{box-sizing:border-box;display:inline-flex;align-items:center;justify-content:center;min-height:44px;
      padding:8px 20px;border:0;border-radius:10px;font:inherit;cursor:pointer}
    a{background:var(--act);color:var(--on);font-weight:700;text-decoration:none}
    a.line{background:#06c755;color:#00240e}
    button{background:none;color:var(--soft);padding:8px 12px}
    :focus-visible{outline:3px solid var(--focus);outline-offset:2px}`)
  const shadow = box.attachShadow({ mode: 'open' })
  shadow.adoptedStyleSheets = [sheet]

  query.set('shown', '1')
  if (back) query.set('return_to', new URL(back, location.href).href)
  const link = element('a', { href: at('/prompt').href, className: line ? 'line' : '' }, text.link)
  link.addEventListener('click', forget)
  const close = element('button', { type: 'button' }, text.close)
  close.addEventListener('click', () => {
    rest(90)
    forget()
    box.remove()
  })
  const words = element('div', {}, element('p', { id: 'title' }, text.title))
  if (reward) words.append(element('p', {}, text.reward(word(reward))))
  const section = element('section', {}, words, link, close)
  section.setAttribute('aria-labelledby', 'title')
  link.setAttribute('aria-describedby', 'title')
  shadow.append(section)
  if (document.head.contains(script)) document.body.append(box)
  else script.after(box)
})(document.currentScript, null)
