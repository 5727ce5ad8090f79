import { z } from 'zod'

const list = z.string().transform((text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter(Boolean),
)
const wholeNumber = (min: number, max: number) => z.coerce.number().int().min(min).max(max)
const keys = list.pipe(z.array(z.string().min(32, 'each key needs at least 32 characters')).min(1))

const issuer = z.string().refine((text) => {
  const url = URL.parse(text)
  // Compared character by character with what browsers and tokens say, so it is taken in their spelling alone.
  return url !== null && /^https?:$/.test(url.protocol) && url.origin === text
}, 'an http or https origin in lower case, without a path or a slash at the end, e.g. https://id.example.com')

const headerName = z.string().regex(/^[A-Za-z0-9-]{1,60}$/, 'the name of a header')

const redisUrls = list.pipe(z.array(z.url({ protocol: /^rediss?$/ })).min(1))

/** Every setting: its form, its default and, as its description, its line in the README's table. */
export const settings = {
  NODE_ENV: z
    .enum(['development', 'test', 'production'])
    .default('development')
    .describe('`production` refuses to start without both stores, an https issuer and keys'),
  ISSUER: issuer
    .default('http://localhost:3000')
    .describe('the issuer: the public origin under which members and relying parties reach this server'),
  HOST: z.string().min(1).default('127.0.0.1').describe('the address to listen on'),
  PORT: wholeNumber(0, 65535).default(3000).describe('the port to listen on'),
  TRUST_PROXY: wholeNumber(0, 10)
    .default(0)
    .describe('how many reverse proxies in front append to X-Forwarded-For; 0 ignores the header'),
  CLIENT_CERTIFICATE_HEADER: headerName
    .optional()
    .describe(
      "where the proxy that ends TLS passes on a client's certificate, and lets nobody else write: `Client-Cert` (RFC 9440) or nginx's `$ssl_client_escaped_cert`; takes `TRUST_PROXY`; unset, there is no mutual TLS",
    ),
  CLIENT_CERTIFICATE_VERIFIED_HEADER: headerName
    .optional()
    .describe(
      "where that proxy says `SUCCESS` (nginx's `$ssl_client_verify`) of a certificate from an authority it trusts; unset, no client can sign in with one (`tls_client_auth`)",
    ),
  DATABASE_URL: z
    .url({ protocol: /^postgres(ql)?$/ })
    .optional()
    .describe('PostgreSQL; unset, the process runs its own in `DATA_FOLDER`'),
  DATABASE_POOL_SIZE: wholeNumber(2, 200)
    .default(10)
    .describe('connections to PostgreSQL this process may hold'),
  REDIS_URL: redisUrls
    .optional()
    .describe(
      'Redis; several URLs, separated by commas, name a Redis Cluster; unset, the store is in this process',
    ),
  DATA_FOLDER: z
    .string()
    .min(1)
    .default('.hitotsu')
    .describe('where the embedded PostgreSQL and development keys live'),
  SECRET_KEYS: keys
    .optional()
    .describe(
      'keys that seal secrets at rest, newest first, separated by commas, 32 characters or more each',
    ),
  COOKIE_KEYS: keys
    .optional()
    .describe(
      'keys that sign cookies and forms, newest first, separated by commas, 32 characters or more each',
    ),
  KEY_ROTATION_DAYS: wholeNumber(0, 3650)
    .default(90)
    .describe(
      'how long a signing key is used before the next takes over; 0 leaves that to `hitotsu keys rotate`',
    ),
  KEY_PUBLISH_AHEAD_SECONDS: wholeNumber(600, 30 * 86_400)
    .default(86_400)
    .describe('how long a new signing key is published before it signs'),
  KEY_RETIRED_DAYS: wholeNumber(1, 365)
    .default(7)
    .describe('how long a signing key is still published after the next took over; then it is destroyed'),
  SMTP_URL: z
    .url({ protocol: /^smtps?$/ })
    .optional()
    .describe('the mail server; unset, mail is only written to the log as undelivered'),
  MAIL_FROM: z
    .string()
    .min(3)
    .default('Hitotsu <no-reply@localhost>')
    .describe('the sender of mail to members'),
  SERVICE_NAME: z
    .string()
    .min(1)
    .max(60)
    .default('Hitotsu')
    .describe('the name members see on pages and in mail'),
  TERMS_URL: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('the terms of use that pages link to'),
  PRIVACY_URL: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('the privacy policy that pages link to'),
  TERMS_VERSION: z
    .string()
    .min(1)
    .max(40)
    .default('1')
    .describe('the version of the terms that link consents record'),
  PASSWORD_MIN_LENGTH: wholeNumber(8, 64)
    .default(15)
    .describe('shortest password, in characters (NIST SP 800-63B-4 asks for 15 where it is the only factor)'),
  RECENT_SIGN_IN_SECONDS: wholeNumber(30, 86_400)
    .default(600)
    .describe('how old a sign-in may be when a member links, unlinks or changes a credential'),
  MERGE_UNDO_DAYS: wholeNumber(1, 3650)
    .default(30)
    .describe('for how long two members that were made one can be made two again'),
  UNLINK_COOL_OFF_DAYS: wholeNumber(0, 365)
    .default(7)
    .describe('how long an account that was unlinked is kept for its member before another may link it'),
  OUTBOUND_PRIVATE_HOSTS: list
    .default([])
    .describe('host:port pairs on private addresses that outbound requests may reach, separated by commas'),
  LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'silent'])
    .default('info')
    .describe('the least level to log'),
} as const

export const environment = z.object(settings)
export type Settings = z.infer<typeof environment>
