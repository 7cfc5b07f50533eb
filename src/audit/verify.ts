import { limits } from '../core/limits.ts'
import { leafHash, merkleRoot } from '../core/merkle.ts'
import { TileTree } from '../core/merkle-tiles.ts'
import { AkidbError, hasCode } from '../errors/errors.ts'
import type { ObjectStore } from '../storage/object-store.ts'
import type { PublicKey } from '../trust/signer.ts'
import { BATCH_BYTES_MAX, readBounded } from './bounded-read.ts'
import { ChainCheck } from './chain-check.ts'
import { type ForeignCheckpoint, readSignedClaims } from './claims.ts'
import { frameBytes, splitFrames } from './frames.ts'
import { type AuditKeys, auditKeys, logIdOf, parseBatchKey } from './layout.ts'
import type { NamedPosition } from './log.ts'
import { type AuditProblem, ProblemList } from './problems.ts'
import { verifyProof } from './proof.ts'
import { checkTile } from './tile-check.ts'

const WIDTH = limits.auditTileWidth

export interface VerifyOptions {
  readonly store: ObjectStore
  /** Folder of the log; '' where the store is the folder itself. */
  readonly prefix: string
  /** Keys that the caller trusts; of them only the log's own may sign its checkpoints. */
  readonly keys: readonly PublicKey[]
  /** Log id, where the folder is not named by it. */
  readonly logId?: string
  /** What manifests, bundles and receipts say of this log. */
  readonly namedPositions?: readonly NamedPosition[]
  /** Checkpoints from elsewhere. */
  readonly checkpoints?: readonly ForeignCheckpoint[]
  /** A proof file that must hold in this log. */
  readonly proof?: Uint8Array
  readonly onProgress?: (entries: number) => void
  readonly signal?: AbortSignal
}

export interface AuditVerification {
  /** No problem but TORN. */
  readonly ok: boolean
  readonly entries: number
  /** Over the entries as they are, hex. */
  readonly root: string
  /** Checkpoints whose signature holds. */
  readonly checkpoints: number
  /** At most limits.auditProblemsMax. */
  readonly problems: readonly AuditProblem[]
  /** How many more there are. */
  readonly problemsLeft: number
}

/**
 * Reads a whole log and reports everything that is wrong with it. Changes nothing; one batch in
 * memory at a time.
 * @throws NOT_FOUND where there is no log and nobody names one
 */
export async function verifyAuditLog(options: VerifyOptions): Promise<AuditVerification> {
  const { store, namedPositions = [], proof } = options
  const keys = auditKeys(options.prefix)
  const problems = new ProblemList()
  const signed = await readSignedClaims({
    ...{ store, auditKeys: keys, logId: options.logId ?? logIdOf(keys) },
    ...{ trusted: options.keys, foreign: options.checkpoints ?? [], problems },
  })
  const claims = [...signed.claims, ...namedPositions]
  const proved = proof === undefined ? undefined : openProof(proof, signed.keys, problems)
  if (proved !== undefined) claims.push(proved.claim)
  const found = await survey(store, keys)
  if (found.size === 0 && !found.any && claims.length === 0) throw noLog(keys.folder)
  const signedSize = signed.claims.reduce((max, { size }) => Math.max(max, size), 0)
  const leaf = proved?.leaf
  const walk = new LogWalk({ ...options, keys, problems, claims, signedSize, leaf, found })
  await walk.run()
  if (walk.size > 0 && signed.claims.length === 0 && problems.ok) {
    problems.add('UNTRUSTED', null, 'no checkpoint signs this log')
  }
  return {
    ok: problems.ok,
    entries: walk.size,
    root: Buffer.from(walk.root).toString('hex'),
    checkpoints: signed.claims.length,
    problems: problems.list,
    problemsLeft: problems.left,
  }
}

interface KnownLeaf {
  readonly seq: number
  readonly hash: Uint8Array
}

function openProof(
  bytes: Uint8Array,
  keys: readonly PublicKey[],
  problems: ProblemList,
): { claim: NamedPosition; leaf: KnownLeaf } | undefined {
  try {
    const { seq, entryBytes, size, root } = verifyProof(bytes, keys)
    const leaf = { seq, hash: leafHash(entryBytes) }
    return { claim: { size, root, where: 'the proof' }, leaf }
  } catch (error) {
    if (!(error instanceof AkidbError)) throw error
    problems.add(hasCode(error, 'UNTRUSTED') ? 'UNTRUSTED' : 'ALTERED', null, error.message)
    return undefined
  }
}

/** What file names alone say. */
interface Survey {
  /** Entries that the names of batches and tiles speak of. */
  readonly size: number
  readonly closed: number
  readonly tails: readonly number[]
  readonly any: boolean
}

async function survey(store: ObjectStore, keys: AuditKeys): Promise<Survey> {
  let [size, closed, any] = [0, 0, false]
  const tails: number[] = []
  for await (const { key } of store.list(keys.folder)) {
    any = true
    const named = parseBatchKey(keys, key)
    if (named === undefined) continue
    if (named.kind === 'tail' && tails.length < limits.auditProblemsMax) tails.push(named.index)
    if (named.kind === 'entries') closed = Math.max(closed, named.index + 1)
    const level = named.kind === 'tile' ? named.level : 0
    const ends = named.kind === 'tail' ? named.index : named.index + 1
    size = Math.max(size, ends * WIDTH ** (level + 1))
  }
  return { size, closed, tails, any }
}

interface WalkParts {
  readonly store: ObjectStore
  readonly keys: AuditKeys
  readonly problems: ProblemList
  readonly claims: readonly NamedPosition[]
  /** Full tiles below it must be there. */
  readonly signedSize: number
  readonly leaf: KnownLeaf | undefined
  readonly found: Survey
  readonly onProgress?: (entries: number) => void
  readonly signal?: AbortSignal
}

/** One pass over the entries. */
class LogWalk {
  readonly #parts: WalkParts
  readonly #tree = new TileTree()
  readonly #chain: ChainCheck
  /** Roots at the sizes that somebody names. */
  readonly #roots = new Map<number, Uint8Array>()
  readonly #wanted: ReadonlySet<number>
  /** Places in the batch at hand whose entry says that it belongs elsewhere. */
  readonly #misplaced = new Set<number>()
  /** Largest size that is signed or named: below it nothing is merely torn. */
  readonly #namedSize: number
  /** Where a batch is missing and no tile stands for it: roots from there on are unknown. */
  #gap = Number.POSITIVE_INFINITY

  constructor(parts: WalkParts) {
    this.#parts = parts
    this.#chain = new ChainCheck(parts.problems)
    this.#wanted = new Set(parts.claims.map(({ size }) => size))
    this.#namedSize = parts.claims.reduce((max, { size }) => Math.max(max, size), 0)
  }

  get size(): number {
    return this.#tree.size
  }

  get root(): Uint8Array {
    return this.#tree.root()
  }

  async run(): Promise<void> {
    const { store, keys, found, problems } = this.#parts
    if (this.#wanted.has(0)) this.#roots.set(0, merkleRoot([]))
    let batch = 0
    for (; ; batch++) {
      this.#parts.signal?.throwIfAborted()
      const bytes = await readBounded(store, keys.entries(batch), BATCH_BYTES_MAX)
      if (bytes !== undefined) await this.#closedBatch(batch, bytes)
      else if (batch < found.closed) this.#missingBatch(batch)
      else if (!(await this.#openBatch(batch))) break
      this.#parts.onProgress?.(this.size)
    }
    await this.#checkTails(batch)
    this.#chain.finish()
    if (this.size < found.size) {
      problems.add(
        'TRUNCATED',
        this.size,
        `files of entries up to ${found.size - 1} are here still`,
      )
    }
    this.#checkClaims()
  }

  async #closedBatch(batch: number, bytes: Uint8Array | 'too long'): Promise<void> {
    const { keys, problems } = this.#parts
    const split = bytes === 'too long' ? undefined : splitFrames(bytes)
    if (split?.entries.length === WIDTH && split.wholeBytes === bytes.length) {
      this.#misplaced.clear()
      for (const entry of split.entries) await this.#take(entry)
      return
    }
    const message = `${keys.entries(batch)} does not hold ${WIDTH} whole entries`
    problems.add('ALTERED', batch * WIDTH, message)
    this.#loseBatch(batch)
  }

  #missingBatch(batch: number): void {
    const message = `${this.#parts.keys.entries(batch)} is missing, though later ones are here`
    this.#parts.problems.add('TRUNCATED', batch * WIDTH, message)
    this.#loseBatch(batch)
  }

  /** Goes on behind a batch that cannot be read, so that the rest is still checked. */
  #loseBatch(batch: number): void {
    this.#gap = Math.min(this.#gap, batch * WIDTH)
    this.#chain.skip()
    for (let i = 0; i < WIDTH; i++) this.#tree.push(leafHash(new Uint8Array(0)))
  }

  /** Whether it turned out to be closed meanwhile, so that the walk goes on. */
  async #openBatch(batch: number): Promise<boolean> {
    const { store, keys, problems } = this.#parts
    const key = keys.tail(batch)
    const bytes = await readBounded(store, key, BATCH_BYTES_MAX)
    if (bytes === undefined) return (await store.head(keys.entries(batch))) !== undefined
    if (bytes === 'too long') {
      problems.add('ALTERED', this.size, `${key} is too long`)
      return false
    }
    const { entries } = splitFrames(bytes)
    let whole = 0
    this.#misplaced.clear()
    for (const [i, entry] of entries.slice(0, WIDTH).entries()) {
      const isNamed = this.size < this.#namedSize
      const mayBeTorn = !isNamed && (i === entries.length - 1 || entry.includes(0))
      if (mayBeTorn && this.#chain.fault(this.size, entry) !== undefined) break
      await this.#take(entry)
      whole += frameBytes(entry)
    }
    if (entries.length > WIDTH) {
      problems.add('ALTERED', this.size, `${key} holds more than ${WIDTH} entries`)
    } else if (whole < bytes.length && this.size >= this.#namedSize && !this.#isDamaged(batch)) {
      const message = `${key}: the last ${bytes.length - whole} bytes are no whole entry`
      problems.add('TORN', this.size, message)
    }
    return false
  }

  /** A damaged length makes everything behind it look torn. */
  #isDamaged(batch: number): boolean {
    return this.#parts.problems.isDamagedWithin(batch * WIDTH, this.size + 1)
  }

  async #take(entry: Uint8Array): Promise<void> {
    const { store, keys, problems, leaf, signedSize } = this.#parts
    const seq = this.size
    if (!this.#chain.take(seq, entry)) this.#misplaced.add(seq)
    const hash = leafHash(entry)
    if (leaf?.seq === seq && Buffer.compare(leaf.hash, hash) !== 0) {
      problems.add('ALTERED', seq, `entry ${seq} is not the one that the proof holds`)
    }
    const tiles = this.#tree.push(hash)
    if (this.#wanted.has(this.size)) this.#roots.set(this.size, this.root)
    const context = { store, keys, problems, misplaced: this.#misplaced, signedSize }
    for (const tile of tiles) {
      // Behind a gap only the leaves are known.
      if (tile.level === 0 || this.size <= this.#gap) await checkTile(context, tile)
    }
  }

  /** A tail beside its closed batch is a crash's leaving if it is the same bytes. */
  async #checkTails(open: number): Promise<void> {
    const { store, keys, found, problems } = this.#parts
    for (const batch of found.tails) {
      if (batch === open) continue
      const tail = await readBounded(store, keys.tail(batch), BATCH_BYTES_MAX)
      const closed = await readBounded(store, keys.entries(batch), BATCH_BYTES_MAX)
      const same = tail instanceof Uint8Array && closed instanceof Uint8Array
      if (tail === undefined || (same && Buffer.compare(tail, closed) === 0)) continue
      const [code, what] =
        closed === undefined
          ? (['TRUNCATED', 'the batches before it are missing'] as const)
          : (['ALTERED', 'it is not the batch that was closed'] as const)
      problems.add(code, batch * WIDTH, `${keys.tail(batch)}: ${what}`)
    }
  }

  #checkClaims(): void {
    const { claims, problems } = this.#parts
    for (const { size, root, where } of claims) {
      if (size > this.size) {
        const message = `${where} says ${size} entries, the log has ${this.size}`
        problems.add('TRUNCATED', this.size, message)
        continue
      }
      const found = this.#roots.get(size)
      if (size > this.#gap || found === undefined) continue
      if (Buffer.from(found).toString('hex') === root) continue
      const code = problems.isDamagedBelow(size) ? 'ALTERED' : 'FORKED'
      problems.add(code, null, `${where} names another root for the first ${size} entries`)
    }
  }
}

const noLog = (folder: string): AkidbError =>
  new AkidbError('NOT_FOUND', `there is no audit log in "${folder}"`, {
    hint: 'Name the folder that holds `checkpoint` and `tile`.',
  })
