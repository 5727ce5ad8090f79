import { createHash } from 'node:crypto'
import type { Context } from 'koa'
import { style } from './style.ts'
import type { Texts } from './texts.ts'

/** Text that is already safe to stand in a page. */
export type Html = { readonly html: string }

/** Escapes every value but `Html`, so that a page cannot be built from unescaped text by mistake. */
export function html(parts: TemplateStringsArray, ...values: HtmlValue[]): Html {
  return { html: parts.reduce((page, part, index) => `${page}${render(values[index - 1])}${part}`) }
}

type HtmlValue = Html | Html[] | string | number | undefined | false

function render(value: HtmlValue): string {
  if (value === undefined || value === false) return ''
  if (Array.isArray(value)) return value.map(({ html }) => html).join('')
  return typeof value === 'object' ? value.html : escapeHtml(String(value))
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

export type Page = { texts: Texts; title: string; body: Html; script?: string }

const submitScript = 'document.forms[0].submit()'

/** Every page says that it is not LINE. */
export function sendPage(ctx: Context, { texts, title, body, script }: Page, status = 200): void {
  ctx.status = status
  ctx.type = 'html'
  ctx.set('content-security-policy', contentSecurityPolicy(script))
  ctx.set('referrer-policy', 'no-referrer')
  ctx.set('cache-control', 'no-store')
  ctx.body = html`<!doctype html>
<html lang="${texts.lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} | ${texts.banner}</title>
<style>${{ html: style }}</style>
</head>
<body>
<header class="banner"><strong>${texts.banner}</strong> ${texts.bannerNote}</header>
<main>
<h1>${title}</h1>
${body}
</main>
${script && { html: `<script>${script}</script>` }}
</body>
</html>
`.html
}

// No form-action: browsers apply it to redirects too, and a form here ends at the client's callback.
function contentSecurityPolicy(script: string | undefined): string {
  const scripts = script ? ` script-src ${sourceHash(script)};` : ''
  const rest = "img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
  return `default-src 'none'; style-src ${sourceHash(style)};${scripts} ${rest}`
}

function sourceHash(source: string): string {
  return `'sha256-${createHash('sha256').update(source).digest('base64')}'`
}

/** OAuth 2.0 Form Post Response Mode section 2; without JavaScript the button is pressed by hand. */
export function redirectingPage(texts: Texts, action: string, parameters: [string, string][]): Page {
  return {
    texts,
    title: texts.returnTitle,
    script: submitScript,
    body: html`<form method="post" action="${action}">
${parameters.map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}">\n`)}
<button class="main">${texts.returnButton}</button>
</form>`,
  }
}
