/** A request that is turned down on purpose, with exactly the answer the caller gets. */
export class Refusal extends Error {
  readonly status: number
  readonly body: Record<string, unknown>
  readonly headers: Record<string, string>

  constructor(status: number, body: Record<string, unknown>, headers: Record<string, string> = {}) {
    super(`${status} ${JSON.stringify(body)}`)
    this.status = status
    this.body = body
    this.headers = headers
  }
}

/** A refusal shown to a person as a page; `text` is a key of `texts.ts`. */
export class PageRefusal extends Error {
  readonly text: PageRefusalText

  constructor(text: PageRefusalText) {
    super(text)
    this.text = text
  }
}

export type PageRefusalText =
  | 'invalidRedirectUri'
  | 'invalidClientId'
  | 'developingChannel'
  | 'loginExpired'
  | 'linkExpired'
  | 'invalidNonce'

/** RFC 6749 section 5.2 shape; the login endpoints answer 400 throughout. */
export function oauthRefusal(error: string, description: string, status = 400): Refusal {
  return new Refusal(status, { error, error_description: description })
}

/** The shape of the Messaging API and of the profile calls. */
export function apiRefusal(status: number, message: string, headers?: Record<string, string>): Refusal {
  return new Refusal(status, { message }, headers)
}

export function authenticationRefusal(reason: string): Refusal {
  return apiRefusal(401, `Authentication failed due to the following reason: ${reason}`)
}
