import { sha256Hex } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import type {
  CollectionState,
  Commit,
  CommitAct,
  LogPosition,
  Manifest,
  OriginEntry,
} from '../../format/manifest.ts'
import {
  decodeManifest,
  type EncodedState,
  encodeManifest,
  encodeState,
} from '../../format/manifest-codec.ts'
import { ORDINAL_MAX } from '../../format/manifest-shape.ts'
import { isTooLate, type PutResult } from '../../storage/object-store.ts'
import type { Act } from './acts.ts'
import { type Environment, isoTime } from './environment.ts'
import { noteCommit } from './freshness.ts'
import { type ManifestStore, manifestKey } from './manifest-store.ts'
import { checkClaim, type NameClaim } from './name-claim.ts'
import type { WriterPin } from './pins.ts'

/** The next state, computed against one head. */
export interface NextState {
  readonly state: CollectionState
  /** Line 2's exact bytes where they come from elsewhere (import, revert). */
  readonly stateBytes?: Uint8Array
  readonly changed: Commit['changed']
  readonly epoch?: number
  readonly log?: LogPosition
  /** Absent: as the head's. null: none. */
  readonly origin?: OriginEntry | null
  /** A new collection's (create); absent: the head's. */
  readonly collection?: string
}

export interface CommitRequest {
  readonly manifests: ManifestStore
  readonly name: string
  readonly lock: string
  readonly kind: CommitAct
  readonly act: Act
  /** What holds the blobs that the next state names, where they are not the head's. */
  readonly pin?: WriterPin
  /** Not sent later, by this machine's clock: then CONFLICT. */
  readonly claim?: NameClaim
  /**
   * Called at the commit, of which this process is then told later (CollectionCore.announce): until
   * then its reads go on with what they have, which must be as good.
   */
  readonly onQuiet?: () => void
  /**
   * Computes the next state; called again with the newer head where another writer was faster.
   * Undefined: there is nothing to change, and nothing is committed. Throws CONFLICT where the
   * change no longer makes sense.
   */
  readonly next: (head: Manifest | undefined) => Promise<NextState | undefined>
}

/**
 * Commits one manifest by create-if-absent: exactly one of several writers gets a number, the
 * others compute again, at most limits.commitAttemptsMax times.
 *
 * @returns the manifest that holds now: the new one, or the head where there was nothing to change
 * @throws CONFLICT
 */
export async function commitManifest(
  environment: Environment,
  request: CommitRequest,
): Promise<Manifest | undefined> {
  for (let attempt = 0; attempt < limits.commitAttemptsMax; attempt++) {
    await request.pin?.renew()
    const lock = await environment.locks.acquire(request.lock, environment.lockWaitMs)
    try {
      if (request.pin?.isFresh() === false) continue
      const lookedMs = environment.clock.nowMs()
      const head = await request.manifests.newest()
      if (request.claim !== undefined) checkClaim(environment, request.claim)
      const next = await request.next(head).catch((error: unknown) => {
        // What a pin held may be gone: then renewing it says so.
        if (request.pin?.isFresh() === false) return 'stale' as const
        throw error
      })
      if (next === undefined) return head
      if (next === 'stale') continue
      // Again: that took time. Under the lock, for which gc waits before it looks at pins.
      if (request.pin?.isFresh() === false) continue
      checkLimits(next.state)
      const encoded = encode(next)
      const commit = commitLine(environment, request, { head, next, encoded })
      const file = encodeManifest(commit, encoded.bytes)
      // Read back first: what cannot be read must never become the head.
      const manifest = decodeManifest(file, manifestKey(request.name, commit.version))
      const put = await putInTime(environment, request, { version: commit.version, file, lookedMs })
      if (put === 'late') continue
      if (put === 'created' && request.onQuiet !== undefined) {
        request.onQuiet()
        return manifest
      }
      noteCommit()
      if (put === 'created') {
        request.manifests.committed(manifest)
        return manifest
      }
    } finally {
      await lock.release()
    }
  }
  throw new AkidbError(
    'CONFLICT',
    `collection "${request.name}" changed ${limits.commitAttemptsMax} times while committing`,
    { hint: 'Run the command again when fewer writers are at work.' },
  )
}

/**
 * Between machines no lock keeps a collection of garbage from taking the manifests and blobs that
 * a commit stands on while its process stands still: time does (limits.gcSharedKeepMs). A request
 * that was signed in time and is late all the same is refused by its server.
 */
async function putInTime(
  { isShared }: Environment,
  { manifests, act, pin, claim }: CommitRequest,
  put: { readonly version: number; readonly file: Uint8Array; readonly lookedMs: number },
): Promise<PutResult | 'late'> {
  const notAfterMs = Math.min(put.lookedMs + limits.commitLifeMs, claim?.notAfterMs ?? Infinity)
  const late = { notAfterMs }
  try {
    return await manifests.put(put.version, put.file, isShared === true ? late : {})
  } catch (error) {
    if (isTooLate(error)) return 'late'
    act.doubt()
    // It may be under way, and be taken later than gc looks: what it names must be there then.
    if (isShared === true) pin?.keep()
    throw error
  }
}

/** Locks under which manifests are written: a collection's id, or the name of a new one. */
const COMMIT_LOCK = /^([0-9a-f]{32}|create-.+)$/

/**
 * Waits until every commit that runs now has ended. A writer looks at its pins and writes its
 * manifest under one lock: whoever calls this and then lists pins and manifests sees one of them,
 * however long the writer stood still in between.
 *
 * @throws LOCKED where one runs for longer; before a writer that waits for gc gives up
 */
export async function waitForCommits(environment: Environment): Promise<void> {
  const { locks, lockWaitMs } = environment
  for (const name of await locks.list('')) {
    if (!COMMIT_LOCK.test(name) || !(await locks.isHeld(name))) continue
    const lock = await locks.acquire(name, lockWaitMs / 2)
    await lock.release()
  }
}

function checkLimits({ segments, nextSegment, nextSource }: CollectionState): void {
  if (segments.length > limits.segmentsMax) {
    throw new AkidbError('LIMIT', `${segments.length} segments are over segmentsMax`, {
      hint: 'Run akidb compact, then the command again.',
      details: { segments: segments.length, segmentsMax: limits.segmentsMax },
    })
  }
  if (nextSegment <= ORDINAL_MAX && nextSource <= ORDINAL_MAX) return
  throw new AkidbError('LIMIT', 'the collection has used all its segment keys or source ordinals', {
    hint: 'Export its records and ingest them into a new collection.',
  })
}

const encode = (next: NextState): EncodedState =>
  next.stateBytes === undefined
    ? encodeState(next.state)
    : { bytes: next.stateBytes, stateRoot: sha256Hex(next.stateBytes) }

interface CommitParts {
  readonly head: Manifest | undefined
  readonly next: NextState
  readonly encoded: EncodedState
}

function commitLine(
  environment: Environment,
  request: CommitRequest,
  { head, next, encoded }: CommitParts,
): Commit {
  const collection = next.collection ?? head?.commit.collection
  if (collection === undefined) throw new Error('a first commit names its collection')
  const previousMs = head === undefined ? 0 : Date.parse(head.commit.committedAt)
  const committedMs = Math.max(environment.clock.nowMs(), previousMs + 1)
  const origin = next.origin === undefined ? head?.commit.origin : next.origin
  const log = next.log ?? head?.commit.log
  const { point } = request.act
  return {
    format: 'akidb-manifest/1',
    collection,
    name: request.name,
    version: (head?.commit.version ?? 0) + 1,
    parent: head?.digest ?? null,
    epoch: next.epoch ?? head?.commit.epoch ?? 0,
    committedAt: isoTime(committedMs),
    act: request.kind,
    actId: request.act.id,
    actor: `${environment.actor.user}@${environment.actor.host}`,
    audit: { logId: point.logId, size: point.size, root: point.root },
    ...(origin === undefined || origin === null ? {} : { origin }),
    ...(log === undefined ? {} : { log }),
    changed: {
      inserted: Math.max(0, next.changed.inserted),
      updated: Math.max(0, next.changed.updated),
      deleted: Math.max(0, next.changed.deleted),
    },
    stateRoot: encoded.stateRoot,
  }
}
