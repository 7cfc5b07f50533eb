import { ChainCheck } from '../../audit/chain-check.ts'
import { openCheckpoint } from '../../audit/checkpoint.ts'
import { type AuditEntry, parseEntry } from '../../audit/entry.ts'
import { splitFrames } from '../../audit/frames.ts'
import { type AuditKeys, auditKeys, parsePieceKey } from '../../audit/layout.ts'
import { ProblemList } from '../../audit/problems.ts'
import type { AuditVerification } from '../../audit/verify.ts'
import { isSha256Hex } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { leafHash, merkleRoot } from '../../core/merkle.ts'
import { TileTree } from '../../core/merkle-tiles.ts'
import type { Ledger } from '../../db/sealed/ledger.ts'
import {
  type KeyVersions,
  readSealed,
  type SmallReads,
  unreadText,
} from '../../db/sealed/target.ts'
import { isoTime } from '../../db/states/environment.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { ObjectVersion, SealedStore } from '../../storage/object-store.ts'

/** A checkpoint in the bucket whose signature holds. */
export interface Anchor {
  readonly key: string
  readonly versionId: string
  readonly size: number
  /** Hex. */
  readonly root: string
  /** The signed note's exact bytes. */
  readonly note: Uint8Array
  /** By the bucket's clock. */
  readonly storedMs: number
}

/** Logs of which something lies in the bucket. */
export const bucketLogIds = ({ small }: Ledger): string[] => [
  ...new Set([...small.keys()].flatMap((key) => /^audit\/([0-9a-f]{64})\//.exec(key)?.[1] ?? [])),
]

/** The anchors of a log whose signatures hold, the largest first. */
export async function* readAnchors(
  target: SealedStore,
  ledger: Ledger,
  logId: string,
): AsyncGenerator<Anchor> {
  const { anchors } = auditKeys(`audit/${logId}`)
  const keys = ledger.keys.filter(({ keyId }) => keyId === logId)
  const named = [...ledger.small.values()].flatMap((versions) => {
    const size = anchorSize(anchors, versions.key)
    return size === undefined ? [] : [{ size, versions }]
  })
  for (const { versions } of named.sort((a, b) => b.size - a.size)) {
    const bytesMax = limits.auditNoteBytesMax
    const reads = { target, unread: ledger.unread }
    const anchor = await readSealed(reads, versions, bytesMax, (note, version) =>
      opened(note, version, keys),
    )
    if (anchor !== undefined) yield anchor
  }
}

/** Entries that a checkpoint is over, by its key; undefined for a key that is none of `anchors`. */
export function anchorSize(anchors: string, key: string): number | undefined {
  const size = /^(\d{1,16})-[0-9a-f]{64}$/.exec(key.slice(anchors.length))?.[1]
  return size === undefined || !key.startsWith(anchors) ? undefined : Number(size)
}

/** The largest of them. */
export async function newestAnchor(
  target: SealedStore,
  ledger: Ledger,
  logId: string,
): Promise<Anchor | undefined> {
  for await (const anchor of readAnchors(target, ledger, logId)) return anchor
  return undefined
}

function opened(
  note: Uint8Array,
  { key, versionId, modifiedMs }: ObjectVersion,
  keys: Ledger['keys'],
): Anchor | undefined {
  try {
    const { size, root } = openCheckpoint(note, keys)
    const hex = Buffer.from(root).toString('hex')
    if (!key.endsWith(`/${size}-${hex}`)) return undefined
    return { key, versionId, size, root: hex, note, storedMs: modifiedMs }
  } catch (error) {
    if (error instanceof AkidbError) return undefined
    throw error
  }
}

/** The log's time and the server's may differ by so much. */
const CLOCK_MAX_MS = 5 * 60_000

export interface BucketLog extends AuditVerification {
  /** The smallest first. */
  readonly anchors: readonly Anchor[]
  /**
   * Digests of the seals of this store that anchored entries name; true where the act came to its
   * end, so that the proof was there too.
   */
  readonly told: ReadonlyMap<string, boolean>
}

/** Reads a log in the bucket from its first entry on, and compares it with its anchors. */
export async function verifyBucketLog(
  target: SealedStore,
  ledger: Ledger,
  logId: string,
): Promise<BucketLog> {
  const problems = new ProblemList()
  const keys = auditKeys(`audit/${logId}`)
  const anchors = (await Array.fromAsync(readAnchors(target, ledger, logId))).reverse()
  checkVersions(ledger, keys, problems)
  const unread = [...ledger.unread].find(([key]) => key.startsWith(keys.folder))
  if (unread !== undefined) {
    problems.add('UNREADABLE', null, `${unread[0]}: ${unreadText(unread[1])}`)
  } else if (anchors.length === 0) {
    problems.add('UNTRUSTED', null, `no trusted key signs the log ${logId} of the bucket`)
  }
  const walk = new PieceWalk(
    { target, unread: ledger.unread },
    { keys, anchors, problems, storeId: ledger.file.id },
  )
  await walk.run(pieces(ledger, keys))
  walk.checkAnchors()
  return {
    ok: problems.ok,
    entries: walk.tree.size,
    root: Buffer.from(walk.tree.root()).toString('hex'),
    checkpoints: anchors.length,
    problems: problems.list,
    problemsLeft: problems.left,
    anchors,
    told: walk.told,
  }
}

function checkVersions({ small }: Ledger, keys: AuditKeys, problems: ProblemList): void {
  for (const { key, versions } of small.values()) {
    if (!key.startsWith(keys.folder)) continue
    const later = versions.slice(1)
    const marker = versions.find(({ isDeleteMarker }) => isDeleteMarker)
    const [extra] = marker === undefined ? later : [marker]
    if (extra === undefined) continue
    const what = marker === undefined ? 'another version' : 'a delete marker'
    const time = new Date(extra.modifiedMs).toISOString()
    problems.add('SHADOWED', null, `${key}: ${what} of ${time} lies above what was sealed`)
  }
}

interface Piece {
  readonly from: number
  readonly to: number
  readonly versions: KeyVersions
}

const pieces = ({ small }: Ledger, keys: AuditKeys): Piece[] =>
  [...small.values()]
    .flatMap((versions) => {
      const named = parsePieceKey(keys, versions.key)
      return named === undefined ? [] : [{ ...named, versions }]
    })
    .sort((a, b) => a.from - b.from || a.to - b.to)

interface WalkParts {
  readonly keys: AuditKeys
  readonly anchors: readonly Anchor[]
  readonly problems: ProblemList
  /** Of the target. */
  readonly storeId: string
}

class PieceWalk {
  readonly tree = new TileTree()
  readonly told = new Map<string, boolean>()
  readonly #reads: SmallReads
  readonly #parts: WalkParts
  readonly #chain: ChainCheck
  /** Root and time of the last entry, at the sizes that an anchor names. */
  readonly #at = new Map<number, { readonly root: string; readonly timeMs: number }>()
  readonly #wanted: ReadonlySet<number>

  constructor(reads: SmallReads, parts: WalkParts) {
    this.#reads = reads
    this.#parts = parts
    this.#chain = new ChainCheck(parts.problems)
    this.#wanted = new Set(parts.anchors.map(({ size }) => size))
    this.#at.set(0, { root: Buffer.from(merkleRoot([])).toString('hex'), timeMs: 0 })
  }

  /** Pieces may overlap: a killed push wrote some that the next one wrote otherwise. */
  async run(all: readonly Piece[]): Promise<void> {
    const { problems } = this.#parts
    for (let left = all; left.length > 0; ) {
      const size = this.tree.size
      left = left.filter(({ to }) => to > size)
      const fitting = left.filter(({ from }) => from <= size)
      if (left.length === 0) break
      if (fitting.length === 0) {
        problems.add('TRUNCATED', size, `entry ${size} is missing, though later ones are here`)
        break
      }
      if (await this.#takeOne(fitting)) continue
      const names = fitting.map(({ versions }) => versions.key)
      const [key = ''] = names.filter((name) => this.#reads.unread.has(name))
      const unread = this.#reads.unread.get(key)
      const keys = names.join(', ')
      if (unread !== undefined) problems.add('UNREADABLE', size, `${key}: ${unreadText(unread)}`)
      else problems.add('ALTERED', size, `${keys}: not the entries that follow entry ${size - 1}`)
      break
    }
    this.#chain.finish()
  }

  async #takeOne(fitting: readonly Piece[]): Promise<boolean> {
    for (const { from, to, versions } of fitting) {
      const bytesMax = limits.auditTileWidth * (limits.auditEntryBytesMax + 2)
      const entries = await readSealed(this.#reads, versions, bytesMax, (bytes) =>
        this.#fitting(bytes, { from, to }),
      )
      if (entries === undefined) continue
      for (const entry of entries) this.#take(entry)
      return true
    }
    return false
  }

  #fitting(
    bytes: Uint8Array,
    { from, to }: { readonly from: number; readonly to: number },
  ): readonly Uint8Array[] | undefined {
    const { entries, wholeBytes } = splitFrames(bytes)
    if (entries.length !== to - from || wholeBytes !== bytes.length) return undefined
    const next = entries.slice(this.tree.size - from)
    const [first] = next
    const fault = first === undefined ? '' : this.#chain.fault(this.tree.size, first)
    return fault === undefined ? next : undefined
  }

  #take(bytes: Uint8Array): void {
    const entry = parseEntry(bytes)
    this.#chain.take(this.tree.size, bytes)
    this.tree.push(leafHash(bytes))
    if (typeof entry !== 'string') this.#hear(entry)
    if (!this.#wanted.has(this.tree.size)) return
    const root = Buffer.from(this.tree.root()).toString('hex')
    const timeMs = typeof entry === 'string' ? 0 : Date.parse(entry.time)
    this.#at.set(this.tree.size, { root, timeMs })
  }

  /** What nobody signed tells nothing. */
  #hear({ seq, phase, details = {} }: AuditEntry): void {
    const { seals, target } = details
    const isAnchored = seq < (this.#parts.anchors.at(-1)?.size ?? 0)
    if (!isAnchored || target !== this.#parts.storeId || !Array.isArray(seals)) return
    for (const digest of seals) {
      if (typeof digest !== 'string' || !isSha256Hex(digest)) continue
      this.told.set(digest, phase === 'outcome' || this.told.get(digest) === true)
    }
  }

  checkAnchors(): void {
    const { anchors, problems } = this.#parts
    for (const { key, size, root, storedMs } of anchors) {
      const found = this.#at.get(size)
      if (found === undefined) {
        const message = `${key} says ${size} entries, the bucket holds ${this.tree.size}`
        problems.add('TRUNCATED', this.tree.size, message)
      } else if (found.root !== root) {
        problems.add('FORKED', null, `${key} names another root than these entries have`)
      } else if (size > 0 && Math.abs(storedMs - found.timeMs) > CLOCK_MAX_MS) {
        const times = `${isoTime(storedMs)} by the server, ${isoTime(found.timeMs)} by the log`
        problems.add('CLOCK', null, `${key} was anchored at ${times}`)
      }
    }
  }
}
