import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { limits } from '../../core/limits.ts'
import { AkidbError, DimensionMismatchError } from '../../errors/errors.ts'
import type { IngestBatch, IngestRecord, InputBytes, RecordSource } from '../../ingest/records.ts'
import type { IngestRequest } from '../api/api.ts'
import type { IngestGroup } from './ingest-group.ts'
import { changedFile, type Ledger, ledgerMisfit } from './ledger.ts'
import type { LedgerEntry } from './ledger-entry.ts'
import type { RejectsFile } from './rejects.ts'

/** One input being read into a group. */
export interface FileJob {
  readonly collection: string
  readonly path: string
  readonly sha256: string | null
  readonly source: RecordSource
  readonly input: InputBytes
  readonly rejects: RejectsFile
  readonly request: IngestRequest
  /** Segments that an earlier run finished; absent where the file cannot be resumed. */
  readonly ledger: Ledger | undefined
  /** Commits a full segment of a pipe, and opens a group for the next; absent: all at the end. */
  readonly commitPiece: CommitPiece | undefined
}

/** @param counts of the rows in the group, or rejected, since the piece before */
export type CommitPiece = (group: IngestGroup, counts: FileOutcome) => Promise<IngestGroup>

export interface FileOutcome {
  readonly accepted: number
  readonly rejected: number
}

/** What a large file asks of its surroundings: a group of its own. */
export type OwnGroup = () => Promise<IngestGroup>

/**
 * Reads one file to its end. Rows of a small file (limits.keptInputBytesMax) are kept and go into
 * the running group at the end, all at once, so that a bad one leaves nothing behind; a file that
 * turns out large gets a group of its own, whose segments are finished while it is read.
 *
 * @returns counts, and the group that holds its rows
 * @throws BAD_INPUT where the file is to be refused whole; nothing of it is in the group then, if
 *   the group is shared; INTEGRITY (`isLedgerMisfit`) where the ledger says other rows than it has
 */
export async function readFile(
  job: FileJob,
  shared: IngestGroup,
  ownGroup: OwnGroup,
): Promise<FileOutcome & { group: IngestGroup; own: boolean }> {
  const reader = new FileReader(job, shared, ownGroup)
  try {
    await reader.resume()
    for await (const batch of job.source.batches(job.request.signal)) await reader.take(batch)
    return await reader.finish()
  } catch (error) {
    if (reader.own) await reader.group.abandon(error)
    throw error
  }
}

class FileReader {
  readonly #job: FileJob
  readonly #ownGroup: OwnGroup
  group: IngestGroup
  own = false
  #kept: IngestRecord[] = []
  #keptBytes = 0
  #accepted = 0
  #rejected = 0
  /** Rows of the file so far, as its source counts them; undefined before the first batch. */
  #rowsRead: number | undefined
  #dimensionRejects = 0
  /** Components of the first vector of another dimension. */
  #otherDimension = 0
  /** What went into commits of pieces. */
  #committed: FileOutcome = { accepted: 0, rejected: 0 }
  #resumable = true
  /** Accepted rows that an earlier run has in its segments already. */
  #toDrop = 0
  /** Line or row of the last of those; −1 where there are none. */
  #lastPosition = -1
  /** Where a later run would have to begin to see the next row again. */
  #mark: Mark = { rowsRead: 0, drop: 0, rejected: 0, rejectBytes: 0 }

  constructor(job: FileJob, shared: IngestGroup, ownGroup: OwnGroup) {
    this.#job = job
    this.group = shared
    this.#ownGroup = ownGroup
  }

  async resume(): Promise<void> {
    const last = this.#job.ledger?.entries.at(-1)
    if (last === undefined) return
    await this.#stream()
    for (const { segment } of this.#job.ledger?.entries ?? []) {
      this.group.adopt(segment, 0)
      this.#accepted += segment.rows
    }
    this.#accepted -= last.drop
    this.#toDrop = last.drop
    this.#lastPosition = this.#job.ledger?.lastPosition ?? -1
    this.#rejected = last.rejected
    const { rowsRead, rejected, rejectBytes } = last
    this.#mark = { rowsRead, drop: 0, rejected, rejectBytes }
  }

  async take(batch: IngestBatch): Promise<void> {
    const { request, rejects, path } = this.#job
    if (batch.rejects.length > 0 && request.onBadRow === 'stop') throw stopped(path, batch)
    const rejectBytes = rejects.bytes
    await rejects.add(batch.rejects)
    for (const { code, found = 0 } of batch.rejects) {
      if (code !== 'DIMENSION') continue
      if (this.#dimensionRejects++ === 0) this.#otherDimension = found
    }
    this.#mark = { ...this.#mark, drop: 0, rejected: this.#rejected, rejectBytes }
    for (const record of batch.records) {
      // Waiting for each row would cost more than the row.
      const work = this.#add(record)
      if (work !== undefined) await work
    }
    if (batch.records.length < FULL_BATCH_ROWS) this.#keptBytes += SHORT_BATCH_BYTES
    this.#rejected += batch.rejects.length
    this.#rowsRead = batch.rowsRead
    this.#mark = {
      rowsRead: batch.rowsRead,
      drop: 0,
      rejected: this.#rejected,
      rejectBytes: rejects.bytes,
    }
    if (!this.own && this.#keptBytes > limits.keptInputBytesMax) await this.#stream()
    this.#progress(batch)
  }

  async finish(): Promise<FileOutcome & { group: IngestGroup; own: boolean }> {
    this.#checkDimension()
    const { sha256, input } = this.#job
    // Its last segment is built while the file is read once more.
    if (this.own) await this.group.seal()
    if (sha256 !== null && (await isChanged(input, sha256))) throw changedFile(this.#job.path)
    this.#checkCounts()
    if (!this.own) {
      this.group.announce(sha256)
      const number = this.group.files
      for (const record of this.#kept) {
        if (this.group.segmentFull) await this.group.seal()
        this.group.add(record, number)
      }
    }
    return { ...this.#uncommitted(), group: this.group, own: this.own }
  }

  #add(record: IngestRecord): Promise<void> | undefined {
    this.#accepted++
    this.#mark.drop++
    if (this.#isTaken(record)) {
      this.#toDrop--
    } else if (this.own) {
      if (this.group.segmentFull) return this.#addToNext(record)
      this.group.add(record, 0)
    } else {
      this.#kept.push(record)
      this.#keptBytes += (record.vector?.byteLength ?? 0) + ROW_OVERHEAD_BYTES
    }
    return undefined
  }

  /** Whether an earlier run has a row in its segments. */
  #isTaken({ position }: IngestRecord): boolean {
    const isTaken = position <= this.#lastPosition
    if (isTaken === this.#toDrop > 0) return isTaken
    throw ledgerMisfit(this.#job.path, `the row at ${position} is not where it says`)
  }

  /** Every row of the file was taken or rejected, by this run or an earlier one. */
  #checkCounts(): void {
    const counted = this.#accepted + this.#rejected
    const { path, ledger } = this.#job
    const isResumed = (ledger?.entries.length ?? 0) > 0
    const rowsRead = this.#rowsRead ?? (isResumed ? undefined : 0)
    if (counted === rowsRead && this.#toDrop === 0) return
    const what = `${counted} rows were taken or rejected, and it has ${rowsRead ?? 'none left'}`
    if (isResumed) throw ledgerMisfit(path, what)
    throw new Error(`${path}: ${what}`)
  }

  /** From here on rows go straight into segments. */
  async #stream(): Promise<void> {
    this.group = await this.#ownGroup()
    this.own = true
    this.group.announce(this.#job.sha256)
    const kept = this.#kept
    this.#kept = []
    for (const record of kept) {
      // A segment that ends among these rows has no place in the file to go on from.
      if (this.group.segmentFull) {
        this.#resumable = false
        await this.#addToNext(record)
      } else this.group.add(record, 0)
    }
  }

  /** Ends the full segment; the row is the first of the next. */
  async #addToNext(record: IngestRecord): Promise<void> {
    if (this.#job.commitPiece !== undefined) return await this.#nextPiece(record)
    // A later run must not drop the row at hand.
    const mark = { ...this.#mark, drop: Math.max(0, this.#mark.drop - 1) }
    const ledger = this.#resumable ? this.#job.ledger : undefined
    await this.group.seal(async (segment) => await ledger?.record({ segment, ...mark }))
    this.group.add(record, 0)
  }

  async #nextPiece(record: IngestRecord): Promise<void> {
    const accepted = this.group.openRows
    const rejected = this.#rejected - this.#committed.rejected
    this.group = (await this.#job.commitPiece?.(this.group, { accepted, rejected })) ?? this.group
    this.#committed = { accepted: this.#committed.accepted + accepted, rejected: this.#rejected }
    this.group.announce(null)
    this.group.add(record, 0)
  }

  #uncommitted(): FileOutcome {
    const { accepted, rejected } = this.#committed
    return { accepted: this.#accepted - accepted, rejected: this.#rejected - rejected }
  }

  /** A file all of whose rows are of another dimension is the wrong file. */
  #checkDimension(): void {
    const { collection, source } = this.#job
    if (this.#accepted > 0 || this.#dimensionRejects === 0) return
    if (this.#dimensionRejects !== this.#rejected) return
    throw new DimensionMismatchError(collection, source.plan.dimension ?? 0, this.#otherDimension)
  }

  #progress(batch: IngestBatch): void {
    const { request, input, path } = this.#job
    request.onProgress?.({
      stage: 'ingest',
      done: batch.bytesRead,
      ...(input.bytes === undefined ? {} : { total: input.bytes }),
      unit: 'bytes',
      item: path,
      rows: batch.rowsRead,
    })
  }
}

type Mark = Omit<LedgerEntry, 'segment' | 'drop'> & { drop: number }

/** Rough cost of a kept row beside its vector. */
const ROW_OVERHEAD_BYTES = 1_024
/**
 * A batch of fewer rows was closed for its bytes (or is the last): it counts as this many at least.
 */
const FULL_BATCH_ROWS = 1_024
const SHORT_BATCH_BYTES = 4 * 1024 * 1024

/** SHA-256 of an input's bytes as they are now, hex. */
export async function digestOf(input: InputBytes): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of input.stream()) hash.update(piece)
  return hash.digest('hex')
}

/** Whether a file holds other bytes than when it was hashed, or more of them. */
async function isChanged(input: InputBytes, sha256: string): Promise<boolean> {
  const now = await stat(input.name).catch(() => undefined)
  return now?.size !== input.bytes || sha256 !== (await digestOf(input))
}

function stopped(path: string, batch: IngestBatch): AkidbError {
  const [first] = batch.rejects
  const where = first?.line === undefined ? `row ${first?.row}` : `line ${first.line}`
  return new AkidbError('BAD_INPUT', `${path}, ${where}: ${first?.reason ?? 'a bad row'}`, {
    hint: 'Nothing was taken. Mend the row, or leave out --on-bad-row stop.',
    details: { path, ...first },
  })
}
