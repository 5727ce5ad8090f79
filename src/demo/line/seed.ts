import { z } from 'zod'

export const providerSchema = z.object({ id: z.string().min(1), name: z.string().min(1) })

const liffAppSchema = z.object({
  id: z.string().regex(/^\d+-[A-Za-z0-9]{8}$/),
  endpointUrl: z.url(),
  scopes: z
    .array(z.enum(['openid', 'profile', 'email', 'chat_message.write']))
    .default(['openid', 'profile']),
  botPrompt: z.enum(['off', 'normal', 'aggressive']).default('off'),
})

const channelBase = {
  id: z.string().regex(/^\d+$/),
  providerId: z.string().min(1),
  name: z.string().min(1),
  secret: z.string().regex(/^[0-9a-f]{32}$/),
  /** Public keys registered for client assertions; each carries the `kid` the console gave. */
  assertionKeys: z.array(z.looseObject({ kid: z.string(), kty: z.literal('RSA') })).default([]),
}

export const loginChannelSchema = z.object({
  ...channelBase,
  kind: z.literal('login'),
  appTypes: z.array(z.enum(['web', 'mobile'])).default(['web']),
  callbackUrls: z.array(z.url()).max(400).default([]),
  status: z.enum(['developing', 'published']).default('published'),
  testerIds: z.array(z.string()).default([]),
  emailPermission: z.boolean().default(true),
  requireTwoFactor: z.boolean().default(false),
  /** The linked LINE Official Account: the ID of a Messaging API channel of the same provider. */
  botChannelId: z.string().optional(),
  liffApps: z.array(liffAppSchema).max(30).default([]),
})

export const messagingChannelSchema = z.object({
  ...channelBase,
  kind: z.literal('messaging'),
  basicId: z.string().default('@000aaaaa'),
  webhookUrl: z.url().max(500).optional(),
  webhookOn: z.boolean().default(true),
  redelivery: z.boolean().default(false),
  /** The token issued in the console, which never expires. */
  longLivedToken: z.string().optional(),
})

export const channelSchema = z.discriminatedUnion('kind', [loginChannelSchema, messagingChannelSchema])

export const personSchema = z.object({
  id: z.string().regex(/^[a-z0-9-]+$/),
  name: z.string().min(1),
  email: z.email().optional(),
  password: z.string().default('password'),
  picture: z.boolean().default(true),
  statusMessage: z.string().optional(),
  language: z.string().default('ja'),
  /** False hides the profile and `source.userId` from official accounts. */
  profileConsent: z.boolean().default(true),
})

export const relationSchema = z.object({
  channelId: z.string(),
  personId: z.string(),
  relation: z.enum(['none', 'friend', 'blocked']),
})

export const settingsSchema = z.object({
  clientAuth: z.enum(['body', 'basic', 'both']).default('both'),
  stateCharset: z.enum(['loose', 'alnum']).default('loose'),
  /** Which browsers count as running beside the LINE app that `appPersonId` is signed in to. */
  autoLogin: z.enum(['off', 'mobile', 'any']).default('mobile'),
  appPersonId: z.string().optional(),
  autoLoginFailure: z.enum(['off', 'once', 'always', 'rate']).default('off'),
  autoLoginFailureRate: z.number().min(0).max(1).default(0.3),
  omitAmr: z.boolean().default(false),
  linkTokenUnknownUserStatus: z.union([z.literal(400), z.literal(404)]).default(400),
  /** Waiting times before each redelivery; LINE publishes neither their number nor their length. */
  redeliveryDelaysMs: z.array(z.number().int().min(0)).default([1_000, 10_000, 60_000]),
  webhookTimeoutMs: z.number().int().positive().default(2_000),
})

export const seedSchema = z.object({
  /** Any text makes every issued code and token repeatable; without it they are random. */
  random: z.string().optional(),
  providers: z.array(providerSchema).optional(),
  channels: z.array(channelSchema).optional(),
  persons: z.array(personSchema).optional(),
  relations: z.array(relationSchema).optional(),
  settings: settingsSchema.partial().optional(),
})

/** What a simulator starts with. A list that is absent is taken from `defaultSeed`. */
export type SimulatorSeed = z.input<typeof seedSchema>

/** One retailer on LINE, and three persons: with an e-mail address, with another, and without. */
export function defaultSeed(callbackUrls: string[] = []): Required<Omit<SimulatorSeed, 'random'>> {
  return {
    providers: [{ id: 'provider-a', name: 'Provider A' }],
    channels: [
      {
        kind: 'login',
        id: '1234567890',
        providerId: 'provider-a',
        name: 'Login channel A',
        secret: '0123456789abcdef0123456789abcdef',
        callbackUrls,
        botChannelId: '1234567891',
        liffApps: [{ id: '1234567890-liffAppA', endpointUrl: 'https://liff.example.com/' }],
      },
      {
        kind: 'messaging',
        id: '1234567891',
        providerId: 'provider-a',
        name: 'Official account A',
        secret: 'fedcba9876543210fedcba9876543210',
      },
    ],
    persons: [
      { id: 'person-a', name: 'LINE Person A', email: 'line-person-a@example.com' },
      { id: 'person-b', name: 'LINE Person B', email: 'line-person-b@example.com', language: 'en' },
      { id: 'person-c', name: 'LINE Person C', picture: false },
    ],
    relations: [],
    settings: {},
  }
}
