import { limits } from '../../core/limits.ts'
import { literal, object, optional, ShapeError, text, whole } from '../../core/shape.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import type { Manifest } from '../../format/manifest.ts'
import { getBounded } from '../../storage/bounded-get.ts'
import type { CollectionCore } from '../collection/collection-core.ts'
import { versionDigits, versionOfKey } from '../states/manifest-store.ts'

/** Numbers tried before a claim gives up. */
const ATTEMPTS_MAX = 16

const ownerPrefix = (name: string): string => `collections/${name}/owner/`

/**
 * The newest epoch that anybody claimed; 0 where nobody has.
 *
 * @throws INTEGRITY where something else lies there: whether there is a newer owner is not known
 */
export async function newestEpoch(core: CollectionCore): Promise<number> {
  const prefix = ownerPrefix(core.name)
  for await (const { key } of core.environment.store.list(prefix, { limit: 1 })) {
    const epoch = versionOfKey(key)
    if (epoch > 0 && Number.isSafeInteger(epoch)) return epoch
    throw new AkidbError('INTEGRITY', `${key} is no claim of a log owner`, {
      hint: 'Find out who put it there, and remove it.',
      details: { key },
    })
  }
  return 0
}

const ownerKey = (name: string, epoch: number): string =>
  `${ownerPrefix(name)}${versionDigits(epoch)}.json`

/** Who claimed an epoch. */
export interface Claim {
  readonly epoch: number
  readonly host: string
  readonly command: string
  /** Audit log of the state folder from which it was claimed; older claims have none. */
  readonly logId?: string | undefined
  /** It owns nothing, and ended the logs before it: see endLogs. */
  readonly ends?: true | undefined
}

const claimShape = object(
  {
    epoch: whole(),
    host: text(),
    command: text(),
    logId: optional(text(/^[0-9a-f]{64}$/)),
    ends: optional(literal(true)),
  },
  true,
)

type ClaimPlace = Pick<CollectionCore['environment'], 'store'>

/** Undefined where there is none, or none that can be read: it decides about nothing. */
export async function claimOf(
  { name, environment }: Pick<CollectionCore, 'name'> & { readonly environment: ClaimPlace },
  epoch: number,
): Promise<Claim | undefined> {
  try {
    const key = ownerKey(name, epoch)
    const bytes = await getBounded(environment.store, key, limits.ownerCommandBytesMax)
    return claimShape(JSON.parse(Buffer.from(bytes).toString('utf8')), key)
  } catch (error) {
    const isNone = hasCode(error, 'NOT_FOUND', 'INTEGRITY')
    if (isNone || error instanceof SyntaxError || error instanceof ShapeError) return undefined
    throw error
  }
}

/** Creates the next owner object; of two claimants one gets each number. */
export async function claimEpoch(core: CollectionCore, head: Manifest): Promise<number> {
  const { logId } = await core.environment.audit()
  return await claim(core, head, { logId })
}

/**
 * Ends the logs of all owners of what had this name, without committing what they hold: their next
 * writes are refused, and what they have not committed is not taken for this machine's.
 */
export const endLogs = (core: CollectionCore, head: Manifest): Promise<number> =>
  claim(core, head, { ends: true })

async function claim(
  core: CollectionCore,
  head: Manifest,
  kind: Pick<Claim, 'logId' | 'ends'>,
): Promise<number> {
  const { store, actor, command } = core.environment
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const epoch = Math.max(await newestEpoch(core), head.commit.epoch) + 1
    const made: Claim = { epoch, host: actor.host, command: command.slice(0, 1_000), ...kind }
    const body = Buffer.from(JSON.stringify(made))
    if ((await store.put(ownerKey(core.name, epoch), body)) === 'created') return epoch
  }
  throw new AkidbError('CONFLICT', `too many log owners of "${core.name}" at once`)
}
