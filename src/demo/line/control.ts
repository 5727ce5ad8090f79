import type { z } from 'zod'
import { openAccountLink } from './account-link.ts'
import { findLiffApp, mintLiffTokens } from './liff.ts'
import { apiRefusal } from './refusal.ts'
import { setRelation } from './relations.ts'
import {
  type channelSchema,
  type personSchema,
  type providerSchema,
  type SimulatorSeed,
  settingsSchema,
} from './seed.ts'
import { findMessagingChannel, findPerson, nowMs, randomHex, type Simulator } from './simulator.ts'
import {
  type Channel,
  createSigningKey,
  createState,
  type InjectedFailure,
  type MessagingChannel,
  type Person,
  type PlannedConsent,
  type Provider,
  type Relation,
  type Settings,
} from './state.ts'
import { endAuthorization } from './user-tokens.ts'
import { createEvent, type DeliveryFaults, sendEvents } from './webhooks.ts'

/** What a test or a demo does from outside, in process or through `/__sim`. */
export type Control = ReturnType<typeof createControl>

/** `startSeed` is what a reset without a seed goes back to. */
export function createControl(sim: Simulator, startSeed: SimulatorSeed) {
  return {
    reset: async (seed?: SimulatorSeed): Promise<void> => {
      sim.state = await createState(seed ?? startSeed)
    },
    clock: (): Date => new Date(nowMs(sim)),
    advanceClock: (seconds: number): Date => {
      sim.state.clockOffsetMs += seconds * 1000
      return new Date(nowMs(sim))
    },
    /** Publishes one more key and signs with it; the earlier ones stay published. */
    addSigningKey: async (): Promise<string> => {
      const key = await createSigningKey()
      sim.state.signingKeys.push(key)
      return key.kid
    },
    configure: (settings: Partial<Settings>): Settings => {
      sim.state.settings = settingsSchema.parse({ ...sim.state.settings, ...settings })
      return sim.state.settings
    },
    putProvider: (provider: z.output<typeof providerSchema>): Provider => put(sim.state.providers, provider),
    putPerson: (person: z.output<typeof personSchema>): Person => put(sim.state.persons, person),
    putChannel: (channel: z.output<typeof channelSchema>): Channel => put(sim.state.channels, channel),
    setRelation: (channelId: string, personId: string, relation: Relation): boolean =>
      setRelation(sim, channelId, personId, relation),
    /** Signs a person in to the LINE app of the device, or, without one, signs the app out. */
    signInToApp: (personId?: string, autoLogin: Settings['autoLogin'] = 'any'): void => {
      const { appPersonId: _, ...settings } = sim.state.settings
      sim.state.settings = {
        ...settings,
        autoLogin,
        ...(findPerson(sim, personId) && { appPersonId: personId }),
      }
    },
    /** Answers the person's next consent screen, which is then not shown. */
    planConsent: (personId: string, plan: PlannedConsent): void => {
      sim.state.plannedConsents[personId] = plan
    },
    /** "Unlink" in the LINE app: tokens die at once, consent is gone, nobody is told. */
    revokeApp: (channelId: string, personId: string): void => endAuthorization(sim, channelId, personId),
    openAccountLink: (personId: string, linkToken: string, nonce: string): 'ok' | 'failed' =>
      openAccountLink(sim, getPerson(sim, personId), linkToken, nonce),
    /** A message of a person in the talk with an official account. */
    say: (personId: string, channelId: string, text: string): void => {
      const channel = getMessagingChannel(sim, channelId)
      const event = createEvent(sim, channel, 'message', getPerson(sim, personId), true)
      sendEvents(sim, channel, [{ ...event, message: { type: 'text', id: randomHex(sim, 18), text } }])
    },
    /** Any events, also malformed ones; what every event has is added where it is missing. */
    sendWebhook: (
      channelId: string,
      events: Record<string, unknown>[],
      faults: Partial<DeliveryFaults> = {},
    ): void => {
      const channel = getMessagingChannel(sim, channelId)
      const complete = events.map((event) => ({
        ...createEvent(sim, channel, '', undefined, false),
        ...event,
      }))
      sendEvents(sim, channel, complete, faults)
    },
    mintLiffTokens: (
      personId: string,
      liffId: string,
    ): Promise<{ accessToken: string; idToken?: string }> => {
      const found = findLiffApp(sim, liffId)
      if (!found) throw apiRefusal(404, 'There is no such LIFF app')
      return mintLiffTokens(sim, found.channel, found.app, getPerson(sim, personId))
    },
    fail: (failure: InjectedFailure): void => {
      sim.state.failures.push(failure)
    },
    clearFailures: (): void => {
      sim.state.failures = []
    },
  }
}

export function getPerson(sim: Simulator, id: string | undefined): Person {
  const person = findPerson(sim, id)
  if (!person) throw apiRefusal(404, 'There is no such person')
  return person
}

function getMessagingChannel(sim: Simulator, id: string): MessagingChannel {
  const channel = findMessagingChannel(sim, id)
  if (!channel) throw apiRefusal(404, 'There is no such channel')
  return channel
}

function put<T extends { id: string }>(items: Record<string, T>, item: T): T {
  items[item.id] = item
  return item
}
