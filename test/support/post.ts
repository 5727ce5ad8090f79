import { request } from 'node:http'
import type { TestApp } from './app.ts'
import type { GivenClient } from './given.ts'

export interface Answer {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
  /** The body as JSON; empty when it is not. */
  json: Record<string, unknown>
}

/** One request with exactly these headers: fetch would choose Host itself. */
export function send(
  url: string | URL,
  { method = 'GET', headers = {}, body = '' }: { method?: string; headers?: object; body?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers: { ...headers }, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk) => {
        text += chunk
      })
      response.on('error', reject)
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json: parse(text) }),
      )
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

/** A form to an endpoint as it is written, for what openid-client would not send; `origin` is a peer's, if not the server's own. */
export function post(
  server: Pick<TestApp, 'issuer'>,
  path: string,
  form: Record<string, string> | [string, string][],
  {
    client,
    origin = server.issuer,
    headers = {},
  }: { client?: GivenClient; origin?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const credentials = client && Buffer.from(`${client.id}:${client.secret}`).toString('base64')
  const body = new URLSearchParams(form)
  if (client && !client.secret && !body.has('client_id')) body.set('client_id', client.id)
  return send(new URL(path, origin), {
    method: 'POST',
    headers: {
      host: new URL(server.issuer).host,
      accept: 'application/json',
      'content-type': 'application/x-www-form-urlencoded',
      ...(client?.secret && { authorization: `Basic ${credentials}` }),
      ...headers,
    },
    body: body.toString(),
  })
}

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}
