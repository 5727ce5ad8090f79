import { InvalidArgumentError } from 'commander'

const day = 86_400
const unitSeconds: Record<string, number> = { s: 1, m: 60, h: 3_600, d: day }

/** Reads the time an option gives, in seconds: a number of them, or 30m, 24h, 7d. */
export function secondsUpTo(maxDays: number): (text: string) => number {
  return (text) => {
    const [, amount, unit = 's'] = /^(\d{1,9})([smhd])?$/.exec(text) ?? []
    const seconds = Number(amount) * (unitSeconds[unit] ?? Number.NaN)
    if (seconds <= maxDays * day) return seconds
    throw new InvalidArgumentError(`Give seconds, or a time like 30m, 24h or 7d, of at most ${maxDays} days.`)
  }
}
