import type { Random } from '../security/random.ts'
import type { Db } from '../store/db.ts'
import type { FederatedIdentity } from '../store/generated/client.ts'
import type { Viewer } from './sector.ts'

/** A linked account as a relying party is told of it. */
export interface DisclosedLink {
  connection: string
  /** Who gave the subject its name: the upstream, or where that is not told, we. */
  issuer: string
  subject: string
  linked_at: string
  /** `needs_relink`: the upstream no longer stands behind it, until the member links it anew. */
  status: 'linked' | 'needs_relink'
}

type Account = Pick<
  FederatedIdentity,
  'connectionId' | 'issuer' | 'subject' | 'linkedAt' | 'needsRelinkSince'
> & {
  connection: { settings: unknown }
}

export interface DisclosureDeps {
  db: Db
  random: Random
  now: () => Date
  /** Our own. */
  issuer: string
}

/** In the order given. */
export async function discloseLinks(
  deps: DisclosureDeps,
  viewer: Viewer,
  accounts: readonly Account[],
): Promise<DisclosedLink[]> {
  const names = await pairwiseNames(deps, viewer, accounts.filter(isPairwise))
  return accounts.map((account) => {
    const { connectionId, linkedAt, needsRelinkSince } = account
    const name = names.get(keyOf(account))
    return {
      connection: connectionId,
      issuer: name === undefined ? account.issuer : deps.issuer,
      subject: name ?? account.subject,
      linked_at: linkedAt.toISOString(),
      status: needsRelinkSince ? 'needs_relink' : 'linked',
    }
  })
}

/** The connection's settings say so (`connections/settings.ts`). */
function isPairwise({ connection: { settings } }: Account): boolean {
  return (
    typeof settings === 'object' &&
    settings !== null &&
    'disclosure' in settings &&
    settings.disclosure === 'pairwise'
  )
}

const keyOf = ({ issuer, subject }: Pick<Account, 'issuer' | 'subject'>) => JSON.stringify([issuer, subject])

/**
 * As for members (`subject.ts`): random and stored, nobody else's ever, and of several first askers all get the same.
 * No client shares a sector with another by its id: hosts have no space in them.
 */
async function pairwiseNames(
  { db, random, now }: DisclosureDeps,
  { clientId, sector = `client ${clientId}` }: Viewer,
  accounts: readonly Account[],
): Promise<Map<string, string>> {
  const read = async () => {
    const subjects = accounts.map(({ subject }) => subject)
    const rows = await db.pairwiseAccount.findMany({ where: { sector, subject: { in: subjects } } })
    return new Map(rows.map((row) => [keyOf(row), row.name]))
  }
  if (accounts.length === 0) return new Map()
  const known = await read()
  const unknown = accounts.filter((account) => !known.has(keyOf(account)))
  if (unknown.length === 0) return known
  await db.pairwiseAccount.createMany({
    data: unknown.map(({ issuer, subject }) => ({
      ...{ sector, issuer, subject, name: random.token(16), createdAt: now() },
    })),
    skipDuplicates: true,
  })
  return read()
}
