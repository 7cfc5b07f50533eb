import type { NamedPosition } from '../../audit/log.ts'
import { isSha256Hex } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { hasCode } from '../../errors/errors.ts'
import { blobRefsOf } from '../../format/closure.ts'
import type { BlobRef, Commit, Manifest, SegmentEntry } from '../../format/manifest.ts'
import { decodeManifest, decodeState } from '../../format/manifest-codec.ts'
import { getBounded } from '../../storage/bounded-get.ts'
import { CollectionCore } from '../collection/collection-core.ts'
import { collectionNames } from '../collection/lifecycle.ts'
import type { Environment } from '../states/environment.ts'
import { collectionFolder, manifestKeyIn, versionOfKey } from '../states/manifest-store.ts'
import { listReplays, parseReplayName, replayFolder } from '../states/replays.ts'
import { readSnapshot } from '../states/snapshots.ts'
import { readLog } from '../wal/log-file.ts'
import type { CheckProblems } from './check-problems.ts'

/** A blob with the newest manifest that names it. */
export interface NamedBlob {
  readonly ref: BlobRef
  readonly namedBy: string
}

/** A segment with what is needed to open it. */
export interface NamedSegment {
  readonly entry: SegmentEntry
  readonly manifest: Manifest
  readonly namedBy: string
}

/** What the manifests of a store say. */
export interface ManifestFindings {
  readonly blobs: ReadonlyMap<string, NamedBlob>
  /** Each set of blobs and tombstones once. */
  readonly segments: ReadonlyMap<string, NamedSegment>
  /** States with a list of older sources, by the digest of that blob. */
  readonly sources: ReadonlyMap<string, NamedSegment['manifest']>
  /** The newest manifest of each collection and replay that can be read, by key. */
  readonly heads: ReadonlyMap<string, Manifest>
  /** Digest of the whole file by key. */
  readonly digests: ReadonlyMap<string, string>
  /** What each manifest says of its audit log, by log id. */
  readonly positions: ReadonlyMap<string, readonly NamedPosition[]>
}

/**
 * Reads every manifest, snapshot and exported state of the store; what is wrong goes to `problems`.
 */
export async function checkManifests(
  environment: Environment,
  problems: CheckProblems,
  signal?: AbortSignal,
): Promise<ManifestFindings> {
  const walk = new ManifestWalk(environment, problems, signal)
  for (const name of await collectionNames(environment)) {
    await walk.history(collectionFolder(name), name)
    await walk.snapshots(name)
    await walk.exports(name)
  }
  for (const address of await listReplays(environment)) {
    const replay = parseReplayName(address)
    if (replay === undefined) problems.add('INTEGRITY', 'replays/', `"${address}" is no replay`)
    else await walk.replay(replayFolder(replay), replay.name)
  }
  return walk
}

class ManifestWalk implements ManifestFindings {
  readonly blobs = new Map<string, NamedBlob>()
  readonly segments = new Map<string, NamedSegment>()
  readonly sources = new Map<string, Manifest>()
  readonly heads = new Map<string, Manifest>()
  readonly digests = new Map<string, string>()
  readonly positions = new Map<string, NamedPosition[]>()
  readonly #commits = new Map<string, Commit>()
  readonly #environment: Environment
  readonly #problems: CheckProblems
  readonly #signal: AbortSignal | undefined

  constructor(environment: Environment, problems: CheckProblems, signal?: AbortSignal) {
    this.#environment = environment
    this.#problems = problems
    this.#signal = signal
  }

  /** The manifests of one collection, newest first. */
  async history(folder: string, name: string): Promise<void> {
    let child: Manifest | undefined
    let isHead = true
    for await (const { key } of this.#environment.store.list(`${folder}/manifests/`)) {
      this.#signal?.throwIfAborted()
      const manifest = await this.#read(key)
      if (manifest !== undefined) {
        this.#place(key, folder, name, manifest)
        if (child !== undefined) this.#link(key, manifest, child)
        if (isHead) await this.#head(key, manifest)
        this.#position(key, manifest)
        this.#names(key, manifest)
      }
      child = manifest
      isHead = false
    }
  }

  /** A replay's line 1 is its origin's: its log is elsewhere. */
  async replay(folder: string, name: string): Promise<void> {
    for await (const { key } of this.#environment.store.list(`${folder}/`)) {
      const manifest = await this.#read(key)
      if (manifest === undefined) continue
      this.heads.set(key, manifest)
      this.#place(key, folder, name, manifest)
      this.#names(key, manifest)
    }
  }

  async snapshots(name: string): Promise<void> {
    const core = new CollectionCore({ environment: this.#environment, name })
    const prefix = `${collectionFolder(name)}/snapshots/`
    for await (const { key } of this.#environment.store.list(prefix)) {
      const label = key.slice(prefix.length, -'.json'.length)
      const snapshot = await this.#problems.look(key, () => readSnapshot(core, label))
      if (snapshot === undefined) continue
      const commit = this.#commits.get(manifestKeyIn(collectionFolder(name), snapshot.version))
      if (commit === undefined) {
        this.#problems.add('MISSING', key, `version ${snapshot.version}, its state, is not there`)
        continue
      }
      const same =
        snapshot.label === label &&
        snapshot.stateRoot === commit.stateRoot &&
        snapshot.committedAt === commit.committedAt
      const message = `it does not fit version ${snapshot.version}, which it names`
      if (!same) this.#problems.add('INTEGRITY', key, message)
    }
  }

  /** States that were exported: the bases of later deltas. */
  async exports(name: string): Promise<void> {
    const { store } = this.#environment
    for await (const { key } of store.list(`${collectionFolder(name)}/exports/`)) {
      await this.#problems.look(key, async () =>
        decodeState(await getBounded(store, key, limits.manifestBytesMax), key),
      )
    }
  }

  async #read(key: string): Promise<Manifest | undefined> {
    return await this.#problems.look(key, async () => {
      try {
        const { store } = this.#environment
        return decodeManifest(await getBounded(store, key, limits.manifestBytesMax), key)
      } catch (error) {
        // A garbage collection that runs now may have taken it.
        if (hasCode(error, 'NOT_FOUND')) return undefined
        throw error
      }
    })
  }

  #place(key: string, folder: string, name: string, manifest: Manifest): void {
    const { commit } = manifest
    this.digests.set(key, manifest.digest)
    this.#commits.set(key, commit)
    if (manifestKeyIn(folder, commit.version) !== key || commit.name !== name) {
      const message = `it says that it is version ${commit.version} of "${commit.name}"`
      this.#problems.add('INTEGRITY', key, message)
    }
    if ((commit.version === 1) !== (commit.parent === null)) {
      this.#problems.add('INTEGRITY', key, 'version 1, and no other, has no parent')
    }
  }

  #link(key: string, manifest: Manifest, child: Manifest): void {
    const { commit } = child
    if (commit.version !== versionOfKey(key) + 1) return
    if (commit.parent !== manifest.digest) {
      const message = `it is not the parent that version ${commit.version} names`
      this.#problems.add('INTEGRITY', key, message)
    }
    if (commit.committedAt <= manifest.commit.committedAt) {
      const message = `it was committed later than version ${commit.version}, its child`
      this.#problems.add('INTEGRITY', key, message)
    }
  }

  /** Its state, and the acknowledged rows that are in the write-ahead log alone. */
  async #head(key: string, manifest: Manifest): Promise<void> {
    this.heads.set(key, manifest)
    await this.#problems.look(key, () => readLog(this.#environment, manifest.commit))
  }

  #position(key: string, { commit }: Manifest): void {
    const { logId, size, root } = commit.audit
    if (!isSha256Hex(logId)) {
      this.#problems.add('INTEGRITY', key, 'it names an audit log that cannot be')
      return
    }
    const known = this.positions.get(logId) ?? []
    known.push({ size, root, where: key })
    this.positions.set(logId, known)
  }

  #names(key: string, manifest: Manifest): void {
    const keys = new Set<number>()
    for (const entry of manifest.state.segments) {
      if (keys.has(entry.key) || entry.key >= manifest.state.nextSegment) {
        this.#problems.add('INTEGRITY', key, `segment key ${entry.key} is taken twice`)
      }
      keys.add(entry.key)
      const digests = [...entry.blobs, ...(entry.tombstones ? [entry.tombstones] : [])]
      const identity = `${digests.map(({ digest }) => digest).join()} ${entry.key}`
      if (!this.segments.has(identity)) {
        this.segments.set(identity, { entry, manifest, namedBy: key })
      }
    }
    const { sourcesBlob } = manifest.state
    if (sourcesBlob !== undefined && !this.sources.has(sourcesBlob.digest)) {
      this.sources.set(sourcesBlob.digest, manifest)
    }
    for (const ref of blobRefsOf(manifest.state)) {
      const known = this.blobs.get(ref.digest)
      if (known === undefined) this.blobs.set(ref.digest, { ref, namedBy: key })
      else if (!sameRef(known.ref, ref)) {
        const message = `it describes blob ${ref.digest} otherwise than ${known.namedBy}`
        this.#problems.add('INTEGRITY', key, message)
      }
    }
  }
}

const sameRef = (a: BlobRef, b: BlobRef): boolean =>
  a.bytes === b.bytes &&
  a.chunkBytes === b.chunkBytes &&
  a.chunkRoot === b.chunkRoot &&
  a.role === b.role
