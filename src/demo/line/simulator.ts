import { createHmac, randomBytes } from 'node:crypto'
import type { Channel, LoginChannel, MessagingChannel, Person, Relation, SimulatorState } from './state.ts'

/** What every route works on. `state` is replaced as a whole by a reset. */
export type Simulator = {
  state: SimulatorState
  /** The origin of both logical hosts, access and api. */
  readonly url: string
  /** What `iss` says; may be `https://access.line.me` for clients configured by hand. */
  readonly issuer: string
  readonly realNow: () => Date
  /** Work that outlives its request; awaited when the simulator closes. */
  readonly inBackground: (task: Promise<void>) => void
  /** Aborts such work on closing. */
  readonly stopped: AbortSignal
}

/** The one clock of all lifetimes: real time plus what the control API advanced. */
export function nowMs(sim: Simulator): number {
  return sim.realNow().getTime() + sim.state.clockOffsetMs
}

export function nowSeconds(sim: Simulator): number {
  return Math.floor(nowMs(sim) / 1000)
}

/** Unguessable, unless the seed asked for repeatable values. */
export function randomHex(sim: Simulator, length: number): string {
  const { random } = sim.state
  if (!random)
    return randomBytes(Math.ceil(length / 2))
      .toString('hex')
      .slice(0, length)
  let text = ''
  while (text.length < length) {
    text += createHmac('sha256', random.seed)
      .update(String(random.counter++))
      .digest('hex')
  }
  return text.slice(0, length)
}

/**
 * Stable for a person within one provider, different under every other provider, and
 * not changed by revoking and consenting again.
 * @see https://developers.line.biz/en/docs/messaging-api/getting-user-ids/
 */
export function userIdOf(providerId: string, personId: string): string {
  return lineId(`person:${providerId}:${personId}`)
}

export function botUserIdOf(channelId: string): string {
  return lineId(`bot:${channelId}`)
}

function lineId(name: string): string {
  return `U${createHmac('sha256', 'line-simulator').update(name).digest('hex').slice(0, 32)}`
}

export function findLoginChannel(sim: Simulator, id: string | undefined): LoginChannel | undefined {
  const channel = findChannel(sim, id)
  return channel?.kind === 'login' ? channel : undefined
}

export function findMessagingChannel(sim: Simulator, id: string | undefined): MessagingChannel | undefined {
  const channel = findChannel(sim, id)
  return channel?.kind === 'messaging' ? channel : undefined
}

export function findChannel(sim: Simulator, id: string | undefined): Channel | undefined {
  return id === undefined || !Object.hasOwn(sim.state.channels, id) ? undefined : sim.state.channels[id]
}

export function findPerson(sim: Simulator, id: string | undefined): Person | undefined {
  return id === undefined || !Object.hasOwn(sim.state.persons, id) ? undefined : sim.state.persons[id]
}

export function findPersonByUserId(sim: Simulator, providerId: string, userId: string): Person | undefined {
  return Object.values(sim.state.persons).find((person) => userIdOf(providerId, person.id) === userId)
}

export function relationOf(sim: Simulator, channelId: string, personId: string): Relation {
  return sim.state.relations[`${channelId}:${personId}`] ?? 'none'
}

/** Undefined for a person without a picture, as in LINE's own answers. */
export function pictureUrlOf(sim: Simulator, providerId: string, person: Person): string | undefined {
  return person.picture ? `${sim.url}/profile-images/${userIdOf(providerId, person.id)}` : undefined
}
