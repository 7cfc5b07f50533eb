import { Bitset } from '../../core/bitset.ts'
import { sha256Hex } from '../../core/digest.ts'
import { stringifyJson } from '../../core/json.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { Manifest } from '../../format/manifest.ts'
import { parseFilter } from '../../search/filter.ts'
import { checkList } from '../api/check-call.ts'
import { selectRows } from '../segment/filter-rows.ts'
import { DeadRows, withSegments } from '../segment/hiding.ts'
import type { ViewSegment } from '../segment/view.ts'
import { runAct } from '../states/acts.ts'
import { commitManifest, type NextState } from '../states/commit.ts'
import { createWriterPin, type WriterPin } from '../states/pins.ts'
import { allSources } from '../states/sources.ts'
import { checkFollowing, checkSame, foldedLog, seenLog } from './append.ts'
import { type CollectionCore, commitLockName } from './collection-core.ts'

/** Which records to delete: by id, by filter, or all that came from a source file. */
export interface DeleteRequest {
  readonly ids?: readonly string[]
  readonly filter?: unknown
  readonly source?: string
}

/**
 * Deletes live records in one commit. Nothing is committed where nothing matches.
 *
 * @param collection id of the collection that is meant, where the caller knows it
 * @returns how many went
 * @throws CONFLICT where that one was dropped, and another one has its name
 */
export async function deleteRecords(
  core: CollectionCore,
  request: DeleteRequest,
  collection?: string,
): Promise<number> {
  const given = [request.ids, request.filter, request.source].filter((part) => part !== undefined)
  if (given.length !== 1) {
    throw new AkidbError('USAGE', 'delete takes ids, a filter or a source, exactly one of them')
  }
  // One text would be an id a letter.
  if (request.ids !== undefined) checkList('delete.ids', request.ids)
  const head = await core.head()
  const id = collection ?? head.commit.collection
  checkSame(core.name, id, head)
  checkFollowing(core.name, head, 'delete')
  let deleted = 0
  const input = {
    act: 'delete',
    collection: core.name,
    parent: head,
    details: describe(request),
  }
  await runAct(core.environment, input, async (act) => {
    const pin = createWriterPin(core.environment)
    try {
      const manifest = await commitManifest(core.environment, {
        manifests: core.manifests,
        name: core.name,
        lock: commitLockName(id),
        kind: 'delete',
        act,
        pin,
        next: async (now) => {
          checkSame(core.name, id, now)
          const next = await nextState(core, pin, request, now)
          deleted = next?.changed.deleted ?? 0
          return next
        },
      })
      const outcome = outcomeOf(manifest, deleted)
      return { result: undefined, outcome }
    } finally {
      await pin.release()
    }
  })
  return deleted
}

/** Longest filter that goes into an audit entry as its text; of longer ones the digest does. */
const FILTER_BYTES_MAX = 16 * 1024

/** A filter may be plain objects or parsed JSON, whose objects are maps. */
function filterDetail(filter: unknown): Record<string, string> {
  const text = stringifyJson(filter)
  const bytes = Buffer.from(text, 'utf8')
  return bytes.byteLength <= FILTER_BYTES_MAX
    ? { filter: text }
    : { filterSha256: sha256Hex(bytes) }
}

const describe = (request: DeleteRequest): Record<string, unknown> => ({
  ...(request.ids === undefined ? {} : { ids: request.ids.length }),
  ...(request.filter === undefined ? {} : filterDetail(request.filter)),
  ...(request.source === undefined ? {} : { source: request.source }),
})

const outcomeOf = (manifest: Manifest | undefined, deleted: number): Record<string, unknown> => ({
  deleted,
  ...(manifest === undefined || deleted === 0
    ? {}
    : {
        version: manifest.commit.version,
        manifest: manifest.digest,
        stateRoot: manifest.commit.stateRoot,
      }),
})

async function nextState(
  core: CollectionCore,
  pin: WriterPin,
  request: DeleteRequest,
  head: Manifest,
): Promise<NextState | undefined> {
  checkFollowing(core.name, head, 'delete')
  const dead = new DeadRows(core.environment.store)
  const ordinals = await ordinalsOf(core, request.source, head)
  let deleted = 0
  for (const entry of head.state.segments) {
    const reader = core.reader(entry)
    const alive = (await dead.of(entry)).clone().not()
    const segment: ViewSegment = { entry, reader, alive, live: alive.count() }
    const rows = await chosenRows(segment, request, ordinals)
    for (const row of rows) if (await dead.kill(entry, row)) deleted++
  }
  if (deleted === 0) return undefined
  const segments = await dead.apply(head.state.segments, pin)
  return {
    state: withSegments(head.state, segments),
    changed: { inserted: 0, updated: 0, deleted },
    // A filter or a source chose among the rows of segments: an entry that came to the log after
    // they were flushed was never looked at, and stays.
    log: request.ids === undefined ? foldedLog(head) : await seenLog(core, head),
  }
}

async function chosenRows(
  segment: ViewSegment,
  request: DeleteRequest,
  ordinals: ReadonlySet<number>,
): Promise<Bitset> {
  const { entry, reader } = segment
  if (request.filter !== undefined) return await selectRows(segment, parseFilter(request.filter))
  const rows = new Bitset(entry.rows)
  if (request.ids !== undefined) {
    const table = await reader.ids()
    for (const id of request.ids) {
      for (const row of table.rowsOf(Buffer.from(id, 'utf8'))) rows.add(row)
    }
    return rows
  }
  const origin = await reader.origin()
  for (let row = 0; row < entry.rows; row++) {
    const ordinal = entry.sources[origin.sources[row] as number]
    if (ordinal !== undefined && ordinals.has(ordinal)) rows.add(row)
  }
  return rows
}

async function ordinalsOf(
  core: CollectionCore,
  sha256: string | undefined,
  head: Manifest,
): Promise<ReadonlySet<number>> {
  if (sha256 === undefined) return new Set()
  const sources = await allSources(core.environment.store, head.state)
  const found = sources.filter((source) => source.sha256 === sha256)
  if (found.length === 0) {
    throw new AkidbError('NOT_FOUND', `"${core.name}" took no file with SHA-256 ${sha256}`, {
      hint: 'akidb show lists its sources.',
    })
  }
  return new Set(found.map((source) => source.ordinal))
}
