import { limits } from '../core/limits.ts'
import type { Flaw } from './flaw.ts'
import type { IngestBatch, IngestRecord, Reject } from './records.ts'

const RAW_CHARACTERS_MAX = 1_024
/** A reject costs memory too, its record or not. */
const REJECT_BYTES = 2_048

/** Where a refused row stands, as far as its reader knows. */
export interface RejectPlace {
  readonly line?: number
  readonly row?: number
  /** Of the row's start; a Flaw's own byte is added. */
  readonly byte?: number
  readonly id?: string
  readonly raw?: string
}

/**
 * Gathers rows until a batch is full: limits.batchRowsMax rows or limits.batchBytesTarget bytes.
 */
export class BatchBuilder {
  #records: IngestRecord[] = []
  #rejects: Reject[] = []
  #bytes = 0
  #rowsRead = 0
  readonly #skipRows: number

  /** Rows before `skipRows` are counted and dropped. */
  constructor(skipRows: number) {
    this.#skipRows = skipRows
  }

  get rowsRead(): number {
    return this.#rowsRead
  }

  get isFull(): boolean {
    const rows = this.#records.length + this.#rejects.length
    return rows >= limits.batchRowsMax || this.#bytes >= limits.batchBytesTarget
  }

  get isEmpty(): boolean {
    return this.#records.length + this.#rejects.length === 0
  }

  /** Whether the next row was read before: it needs no checks, but `skip()`. */
  get isSkipping(): boolean {
    return this.#rowsRead < this.#skipRows
  }

  skip(): void {
    this.#rowsRead++
  }

  add(record: IngestRecord, bytes: number): void {
    this.#rowsRead++
    this.#records.push(record)
    this.#bytes += bytes
  }

  refuse(flaw: Flaw, place: RejectPlace): void {
    this.#rowsRead++
    const byte = place.byte === undefined ? undefined : place.byte + (flaw.byte ?? 0)
    this.#rejects.push({
      ...(place.line === undefined ? {} : { line: place.line }),
      ...(place.row === undefined ? {} : { row: place.row }),
      ...(byte === undefined ? {} : { byte }),
      ...(place.id === undefined ? {} : { id: place.id }),
      ...(flaw.column === undefined ? {} : { column: flaw.column }),
      code: flaw.code,
      reason: flaw.reason,
      ...(flaw.found === undefined ? {} : { found: flaw.found }),
      ...(place.raw === undefined ? {} : { raw: place.raw.slice(0, RAW_CHARACTERS_MAX) }),
    })
    this.#bytes += REJECT_BYTES
  }

  /** `bytesRead`: of the file as stored. */
  take(bytesRead: number): IngestBatch {
    const batch = {
      records: this.#records,
      rejects: this.#rejects,
      rowsRead: this.#rowsRead,
      bytesRead,
    }
    this.#records = []
    this.#rejects = []
    this.#bytes = 0
    return batch
  }
}
