import type { Provider } from 'oidc-provider'

/** A token says what it is, so that whoever presents one without saying so is answered after one look, not three. */
const marks = { ClientCredentials: 'cc.', RefreshToken: 'rt.' } as const

export function markTokens(provider: Provider): void {
  for (const model of Object.keys(marks) as (keyof typeof marks)[]) {
    const { prototype } = provider[model] as unknown as { prototype: { generateTokenId(): string } }
    const generate = prototype.generateTokenId
    prototype.generateTokenId = function marked() {
      return marks[model] + generate.call(this)
    }
  }
}

/** False when a token says that it is something else than this model's. */
export function mayBe(model: string, id: string): boolean {
  if (model === 'AccessToken') return !Object.values(marks).some((mark) => id.startsWith(mark))
  return !(model in marks) || id.startsWith(marks[model as keyof typeof marks])
}
