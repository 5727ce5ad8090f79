import { randomBytes, randomInt, randomUUID } from 'node:crypto'

/** Where unpredictable values come from; injected, so a test can say what they are. */
export interface Random {
  /** A UUID (version 4) for a primary key. */
  uuid(): string
  /** An unguessable value in base64url: 256 bits unless told otherwise. */
  token(bytes?: number): string
  /** `length` decimal digits, each value equally likely; leading zeros kept. */
  digits(length: number): string
}

/** The operating system's generator. */
export const systemRandom: Random = {
  uuid: () => randomUUID(),
  token: (bytes = 32) => randomBytes(bytes).toString('base64url'),
  digits: (length) =>
    randomInt(0, 10 ** length)
      .toString()
      .padStart(length, '0'),
}
