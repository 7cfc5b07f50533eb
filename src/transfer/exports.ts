import { isSha256Hex, sha256Hex } from '../core/digest.ts'
import { limits } from '../core/limits.ts'
import { dictionary, object, ShapeError, text } from '../core/shape.ts'
import type { CollectionCore } from '../db/collection/collection-core.ts'
import { AkidbError, hasCode } from '../errors/errors.ts'
import { getBounded } from '../storage/bounded-get.ts'
import type { ObjectStore } from '../storage/object-store.ts'

/** Line 2 of an exported state, kept for ever: the base of later deltas. */
export const exportKey = (name: string, headDigest: string): string =>
  `collections/${name}/exports/${headDigest}.json`

const LAST = 'exports/last.json'

/** What was exported last from this state folder. */
export interface LastExport {
  readonly headDigest: string
  /** Newest exported state of every collection, of this or earlier exports. */
  readonly stateRoots: Readonly<Record<string, string>>
}

const digest = text(/^[0-9a-f]{64}$/)
const lastShape = object({ headDigest: digest, stateRoots: dictionary(digest) })

export async function lastExport(state: ObjectStore): Promise<LastExport | undefined> {
  try {
    const bytes = await getBounded(state, LAST, limits.smallFileBytesMax)
    return lastShape(JSON.parse(Buffer.from(bytes).toString('utf8')), LAST)
  } catch (error) {
    // One that is no such file is as good as none: the next export writes it anew.
    if (hasCode(error, 'NOT_FOUND', 'INTEGRITY')) return undefined
    if (error instanceof ShapeError || error instanceof SyntaxError) return undefined
    throw error
  }
}

export async function rememberExport(state: ObjectStore, last: LastExport): Promise<void> {
  const former = await lastExport(state)
  const stateRoots = { ...former?.stateRoots, ...last.stateRoots }
  const body = Buffer.from(JSON.stringify({ headDigest: last.headDigest, stateRoots }))
  await state.put(LAST, body, { mode: 'replace' })
}

/**
 * Line 2 of a state that a delta starts from: from the exported states, or from the history.
 *
 * @throws NOT_FOUND; INTEGRITY where an exported state is longer than any can be
 */
export async function baseState(core: CollectionCore, root: string): Promise<Uint8Array> {
  const { store } = core.environment
  for await (const { key } of store.list(`collections/${core.name}/exports/`)) {
    const bytes = await getBounded(store, key, limits.manifestBytesMax)
    if (sha256Hex(bytes) === root) return bytes
  }
  for await (const manifest of core.manifests.history()) {
    if (manifest.commit.stateRoot === root) return manifest.stateBytes
  }
  throw new AkidbError('NOT_FOUND', `"${core.name}" has no state ${root} to start a delta from`, {
    hint: 'Give the state root of an earlier export, or "last".',
    details: { stateRoot: root, known: isSha256Hex(root) },
  })
}
