import { InvalidArgumentError } from 'commander'

/** A moment that was given as an option. A day without a time begins at midnight in Japan. */
export function toMoment(text: string): Date {
  const isDay = /^\d{4}-\d{2}-\d{2}$/.test(text)
  const isMoment = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})$/.test(text)
  const date = new Date(isDay ? `${text}T00:00+09:00` : text)
  if ((isDay || isMoment) && !Number.isNaN(date.getTime())) return date
  throw new InvalidArgumentError(
    'Give a day (2027-04-01) or a moment with its offset (2027-04-01T10:00+09:00).',
  )
}
