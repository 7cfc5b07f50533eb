import type { Clock } from '../core/clock.ts'
import { sha256Hex } from '../core/digest.ts'
import { limits } from '../core/limits.ts'
import { consistencyRanges, inclusionRanges } from '../core/merkle-proofs.ts'
import { AkidbError, hasCode } from '../errors/errors.ts'
import { getBounded } from '../storage/bounded-get.ts'
import type { LockHandle } from '../storage/locks.ts'
import type { ObjectStore } from '../storage/object-store.ts'
import { encodePublicKey } from '../trust/public-key-file.ts'
import type { PublicKey, Signer } from '../trust/signer.ts'
import { type Checkpoint, openCheckpoint, parseCheckpoint, signCheckpoint } from './checkpoint.ts'
import { type AuditEntry, type AuditEntryInput, encodeEntry, NO_ENTRY } from './entry.ts'
import { type AuditKeys, auditKeys, brokenLog, logIdOf } from './layout.ts'
import { LogFile, type TornTail } from './log-file.ts'
import { encodeProof } from './proof.ts'
import {
  type ActEntries,
  entryBytes,
  findActs,
  type ReadOptions,
  readBackwards,
  readEntries,
  readEntry,
} from './read.ts'
import { WriteQueue } from './write-queue.ts'

/** Where a log stands; what a manifest names. */
export interface AuditPosition {
  readonly logId: string
  readonly size: number
  /** RFC 6962 root of the first `size` entries, hex. */
  readonly root: string
}

/** A root that somebody remembers of this log: a manifest, a bundle, a receipt. */
export interface NamedPosition {
  readonly size: number
  /** Hex. */
  readonly root: string
  /** Who says so, for messages. */
  readonly where: string
}

export interface AuditLogOptions {
  readonly store: ObjectStore
  /** Folder of the log, named by its log id: `audit/<log id>`. */
  readonly prefix: string
  /** Name in checkpoints: no spaces, no '+'; the same for the log's whole life. */
  readonly origin: string
  /** The log's private key. Without it the log is read only: nothing is written, cut or signed. */
  readonly signer?: Signer
  /**
   * Checks the checkpoint where there is no signer; without both, only that it agrees with the
   * entries.
   */
  readonly key?: PublicKey
  /** Takes the log's lock between processes; held for one append or one checkpoint. */
  readonly lock: () => Promise<LockHandle>
  readonly clock: Pick<Clock, 'nowMs'>
  /** What manifests say of this log: it must hold them, and nothing below them is ever cut. */
  readonly named?: readonly NamedPosition[]
}

/** Where an append left the log. */
export interface Appended {
  /** Of the first entry of the call; the others follow it. */
  readonly seq: number
  /** The log after it; other calls' entries of the same moment may be in it. */
  readonly size: number
  /** Hex. */
  readonly root: string
}

/** A checkpoint as it was just signed. */
export interface SignedCheckpoint {
  readonly size: number
  /** Hex. */
  readonly root: string
  /** The signed note's exact bytes. */
  readonly note: Uint8Array
}

/** Something that was mended. */
export interface AuditWarning {
  readonly code: 'TORN'
  readonly message: string
}

/**
 * Opens the log of one state folder, or starts it. With a signer it takes the lock once, cuts a
 * torn end that nobody
 * names, and finishes a batch that was being closed. Reads tiles, not entries: O(log size) files.
 *
 * @throws AUDIT_BROKEN where entries are missing or altered below a checkpoint or a named position
 * @throws SIGNATURE or UNTRUSTED where the checkpoint is not one of this log's key
 */
export async function openAuditLog(options: AuditLogOptions): Promise<AuditLog> {
  const keys = auditKeys(options.prefix)
  const logId = logIdOf(keys)
  if (logId === undefined) throw new RangeError(`"${options.prefix}" does not end with a log id`)
  const key = options.signer?.key ?? options.key
  if (key !== undefined && key.keyId !== logId) {
    throw new AkidbError('AUTH', `key ${key.keyId} is not the key of audit log ${logId}`, {
      hint: 'A log belongs to the state folder that holds its key; give the right --state.',
    })
  }
  if (options.signer === undefined) return await start(options, keys, logId)
  const handle = await options.lock()
  try {
    const log = await start(options, keys, logId)
    const pem = Buffer.from(encodePublicKey({ keyId: logId, raw: options.signer.key.raw }), 'utf8')
    await options.store.put(keys.publicKey, pem)
    return log
  } finally {
    await handle.release()
  }
}

async function start(options: AuditLogOptions, keys: AuditKeys, logId: string): Promise<AuditLog> {
  const { store, signer, named = [] } = options
  const trusted = signer?.key ?? options.key
  const readCheckpoint = () => loadCheckpoint(store, keys, trusted)
  const checkpoint = await readCheckpoint()
  const signedSize = async () => (await readCheckpoint())?.checkpoint.size ?? 0
  const sizes = [checkpoint?.checkpoint.size ?? 0, ...named.map(({ size }) => size)]
  const sizeMin = sizes.reduce((a, b) => Math.max(a, b), 0)
  const file = await LogFile.open({ store, keys, sizeMin, signedSize })
  const torn = await file.refresh(signer === undefined ? 'read' : 'write')
  const log = new AuditLog({ ...options, keys, logId, file })
  if (torn !== undefined && signer !== undefined) log.warnTorn(torn)
  const claims = checkpoint === undefined ? named : [...named, claimOf(checkpoint.checkpoint)]
  for (const { size, root, where } of claims) {
    if ((await log.rootAt(size)) === root) continue
    throw brokenLog(keys.folder, `${where} names another root for its first ${size} entries`)
  }
  return log
}

const claimOf = ({ size, root }: Checkpoint): NamedPosition => ({
  size,
  root: Buffer.from(root).toString('hex'),
  where: 'its checkpoint',
})

interface StoredCheckpoint {
  readonly checkpoint: Checkpoint
  readonly note: Uint8Array
}

async function loadCheckpoint(
  store: ObjectStore,
  keys: AuditKeys,
  key: PublicKey | undefined,
): Promise<StoredCheckpoint | undefined> {
  const note = await storedNote(store, keys)
  if (note === undefined) return undefined
  const checkpoint = key === undefined ? parseCheckpoint(note) : openCheckpoint(note, [key])
  return { checkpoint, note }
}

/** The checkpoint's exact bytes. It is replaced as a whole, so it is read as a whole. */
async function storedNote(store: ObjectStore, keys: AuditKeys): Promise<Uint8Array | undefined> {
  try {
    return await getBounded(store, keys.checkpoint, limits.auditNoteBytesMax)
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND')) return undefined
    if (!hasCode(error, 'INTEGRITY')) throw error
    throw brokenLog(keys.folder, `checkpoint cannot be read: ${error.message}`)
  }
}

interface LogParts extends AuditLogOptions {
  readonly keys: AuditKeys
  readonly logId: string
  readonly file: LogFile
}

/**
 * One audit log: append, sign, read, prove. Calls may overlap; appends that wait for the lock go as
 * one.
 */
export class AuditLog {
  readonly logId: string
  readonly origin: string
  /** What opening or appending had to mend. */
  readonly warnings: AuditWarning[] = []
  readonly #parts: LogParts
  readonly #keys: AuditKeys
  readonly #file: LogFile
  readonly #queue: WriteQueue<SignedCheckpoint>

  constructor(parts: LogParts) {
    this.logId = parts.logId
    this.origin = parts.origin
    this.#parts = parts
    this.#keys = parts.keys
    this.#file = parts.file
    this.#queue = new WriteQueue(parts.lock, {
      refresh: () => this.#refreshUnderLock(),
      append: (inputs) => this.#appendUnderLock(inputs),
      checkpoint: () => this.#signUnderLock(),
    })
  }

  /** Entries that this process knows of; `refresh` learns of others'. */
  get size(): number {
    return this.#file.size
  }

  /** RFC 6962 root over `size` entries, hex. */
  get root(): string {
    return hex(this.#file.tree.root())
  }

  /** What a manifest names. */
  position(): AuditPosition {
    return { logId: this.logId, size: this.size, root: this.root }
  }

  /**
   * Appends entries in this order; durable when it resolves.
   * @throws LIMIT for an entry over limits.auditEntryBytesMax, or too many at once: nothing is
   * appended then
   * @throws AUDIT_BROKEN where the log on disk is not the one that was opened; LOCKED; NO_SPACE
   */
  async append(entries: readonly AuditEntryInput[]): Promise<Appended> {
    this.#signer()
    for (const entry of entries) this.#encode(entry, limits.auditEntriesMax, NO_ENTRY)
    const seq = await this.#queue.append(entries)
    return { seq, size: this.size, root: this.root }
  }

  /** Signs everything that is in the log, other processes' entries included. */
  async checkpoint(): Promise<SignedCheckpoint> {
    this.#signer()
    return await this.#queue.checkpoint()
  }

  /** Takes in what other processes appended. */
  async refresh(): Promise<void> {
    if (this.#parts.signer === undefined) await this.#file.refresh('read')
    else await this.#queue.refresh()
  }

  /** Entries in order, filtered, one batch in memory at a time. */
  read(options: ReadOptions = {}): AsyncIterable<AuditEntry> {
    return readEntries(this.#parts.store, this.#keys, options)
  }

  /** The exact bytes of the entries from `from` to `to` − 1. @throws AUDIT_BROKEN */
  entryBytes(from: number, to: number): AsyncIterable<Uint8Array> {
    return entryBytes(this.#parts.store, this.#keys, { from, to })
  }

  /** Entries that this process knows of, the newest first. */
  newestFirst(): AsyncIterable<AuditEntry> {
    return readBackwards(this.#parts.store, this.#keys, this.size)
  }

  /** Intents and outcomes of these acts, found from the log's end backwards. */
  findActs(actIds: Iterable<string>): Promise<ReadonlyMap<string, ActEntries>> {
    return findActs(this.newestFirst(), actIds)
  }

  /**
   * Root of the first `size` entries, hex.
   * @throws RangeError beyond the log
   */
  async rootAt(size: number): Promise<string> {
    return hex(await this.#hashOf(0, size))
  }

  /**
   * Hashes that prove that the log of `oldSize` entries is the beginning of the one of `newSize`.
   * Source: RFC 6962 §2.1.2.
   */
  async consistency(oldSize: number, newSize: number): Promise<readonly Uint8Array[]> {
    const hashes: Uint8Array[] = []
    for (const { start, end } of consistencyRanges(oldSize, newSize)) {
      hashes.push(await this.#hashOf(start, end))
    }
    return hashes
  }

  /**
   * A file that proves to anybody who has the log's public key that entry `seq` is in the log
   * (docs/audit.md).
   * Signs a checkpoint first where the newest does not cover the entry.
   * @throws NOT_FOUND for no such entry, or none that is signed while the private key is not here
   */
  async prove(seq: number): Promise<Uint8Array> {
    if (!Number.isSafeInteger(seq) || seq < 0 || seq >= this.size) throw this.#noEntry(seq)
    const { store, signer, key } = this.#parts
    let note = (await loadCheckpoint(store, this.#keys, signer?.key ?? key))?.note
    if (note === undefined || parseCheckpoint(note).size <= seq) {
      if (signer === undefined) throw this.#noEntry(seq)
      note = (await this.checkpoint()).note
    }
    const { size } = parseCheckpoint(note)
    const path: Uint8Array[] = []
    if (size > this.size) await this.refresh()
    for (const { start, end } of inclusionRanges(seq, size)) {
      path.push(await this.#hashOf(start, end))
    }
    const entry = await readEntry(store, this.#keys, seq)
    return encodeProof({ seq, entry, path, note })
  }

  /** Remembers that a torn end was cut. */
  warnTorn({ key, bytes, seq }: TornTail): void {
    const message = `${key}: the last ${bytes} bytes were no whole entry ${seq} and were cut`
    this.warnings.push({ code: 'TORN', message })
  }

  async #hashOf(start: number, end: number): Promise<Uint8Array> {
    if (end > this.size) throw new RangeError(`the log has ${this.size} entries, not ${end}`)
    return await this.#file.tiles.rangeHash(this.#file.tree, { start, end })
  }

  async #refreshUnderLock(): Promise<void> {
    const torn = await this.#file.refresh('write')
    if (torn !== undefined) this.warnTorn(torn)
  }

  /** Returns the seq of the first. */
  async #appendUnderLock(inputs: readonly AuditEntryInput[]): Promise<number> {
    const seq = this.#file.size
    const entries: Uint8Array[] = []
    let prev = this.#file.last
    for (const input of inputs) {
      const bytes = this.#encode(input, seq + entries.length, prev)
      entries.push(bytes)
      prev = sha256Hex(bytes)
    }
    await this.#file.append(entries)
    return seq
  }

  async #signUnderLock(): Promise<SignedCheckpoint> {
    await this.#file.settle()
    const signer = this.#signer()
    const [size, root] = [this.#file.size, this.#file.tree.root()]
    const note = signCheckpoint({ origin: this.origin, size, root }, signer)
    // Ed25519 signs deterministically: the same checkpoint is the same bytes and need not be
    // written again.
    const { store } = this.#parts
    const stored = await storedNote(store, this.#keys)
    if (stored === undefined || Buffer.compare(stored, note) !== 0) {
      await store.put(this.#keys.checkpoint, note, { mode: 'replace' })
    }
    return { size, root: hex(root), note }
  }

  #encode(input: AuditEntryInput, seq: number, prev: string): Uint8Array {
    const time = new Date(this.#parts.clock.nowMs()).toISOString()
    return encodeEntry({ ...input, seq, prev, time })
  }

  #signer(): Signer {
    if (this.#parts.signer !== undefined) return this.#parts.signer
    throw new AkidbError('AUTH', `audit log ${this.logId} is open for reading only`, {
      hint: 'Only the state folder that holds its key can write to it.',
    })
  }

  #noEntry(seq: number): AkidbError {
    return new AkidbError('NOT_FOUND', `audit log ${this.logId} has no signed entry ${seq}`, {
      hint: `It holds entries 0 to ${this.size - 1}; "akidb audit checkpoint" signs them.`,
    })
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
