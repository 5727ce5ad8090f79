const minute = 60
const hour = 60 * minute
const day = 24 * hour

/** How long each thing lives, in seconds, as LINE documents it. */
export const lifetimeSeconds = {
  authorizationCode: 10 * minute,
  accessToken: 30 * day,
  liffAccessToken: 12 * hour,
  refreshToken: 90 * day,
  idToken: hour,
  linkToken: 10 * minute,
  replyToken: minute,
  replyTokenAfterEvent: 20 * minute,
  retryKey: day,
  clientAssertion: 30 * minute,
  statelessChannelToken: 15 * minute,
  channelToken: 30 * day,
  trustedDevice: 365 * day,
  // Assumption: LINE says "some period" for the e-mail question and gives no length for the screens.
  emailDecision: 30 * day,
  pendingLogin: 30 * minute,
} as const
