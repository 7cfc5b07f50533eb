import type { AkidbError } from '../errors/errors.ts'
import type { Manifest } from '../format/manifest.ts'
import type { IngestFileResult, IngestResult } from './api.ts'

interface PendingFile {
  readonly path: string
  readonly sha256: string | null
  readonly rows: number
  readonly rejected: number
}

const WARNINGS: Readonly<Record<string, string>> = {
  TYPE_MISFIT: 'cells did not fit the type guessed for their column and stay text',
}

/** Counts of one ingest, file by file. */
export class IngestReport {
  readonly #startedMs: number
  readonly #files: IngestFileResult[] = []
  readonly #warnings = new Map<string, number>()
  #pending: PendingFile[] = []
  created = false
  committedRows = 0
  rows = 0
  rejected = 0

  constructor(startedMs: number) {
    this.#startedMs = startedMs
  }

  skipped(path: string, sha256: string): void {
    const none = { rows: 0, inserted: 0, updated: 0, rejected: 0 }
    this.#files.push({ path, sha256, ...none, skipped: true })
  }

  failed(path: string, error: AkidbError): void {
    const none = { rows: 0, inserted: 0, updated: 0, rejected: 0 }
    const { code, message } = error
    this.#files.push({ path, sha256: null, ...none, skipped: false, error: { code, message } })
  }

  warned(warnings: ReadonlyMap<string, number>): void {
    for (const [code, count] of warnings) {
      this.#warnings.set(code, (this.#warnings.get(code) ?? 0) + count)
    }
  }

  /** A file that has been read and waits for its commit. */
  pending(file: PendingFile): void {
    this.#pending.push(file)
    this.rows += file.rows
    this.rejected += file.rejected
  }

  /** @param updated rows of each pending file that replaced an older row */
  committed(updated: readonly number[]): void {
    for (const [i, file] of this.#pending.entries()) {
      const count = updated[i] ?? 0
      this.#add({ ...file, inserted: file.rows - count, updated: count, skipped: false })
      this.committedRows += file.rows
    }
    this.#pending = []
  }

  /** A pipe comes in several commits, but is one input. */
  #add(file: IngestFileResult): void {
    const last = this.#files.at(-1)
    if (file.sha256 !== null || last?.sha256 !== null || last.path !== file.path) {
      this.#files.push(file)
      return
    }
    this.#files[this.#files.length - 1] = {
      ...last,
      rows: last.rows + file.rows,
      inserted: last.inserted + file.inserted,
      updated: last.updated + file.updated,
      rejected: last.rejected + file.rejected,
    }
  }

  /** A file of which no row was taken: it needs no commit. */
  untaken(file: PendingFile): void {
    this.rejected += file.rejected
    this.#files.push({ ...file, inserted: 0, updated: 0, skipped: false })
  }

  result(end: {
    collection: string
    store: string
    head: Manifest | undefined
    rejectsFile: string | undefined
    overLimit: boolean
    nowMs: number
  }): IngestResult {
    const sum = (pick: (file: IngestFileResult) => number): number =>
      this.#files.reduce((total, file) => total + pick(file), 0)
    return {
      collection: end.collection,
      store: end.store,
      created: this.created,
      files: this.#files,
      inserted: sum((file) => file.inserted),
      updated: sum((file) => file.updated),
      rejected: this.rejected,
      ...(end.rejectsFile === undefined ? {} : { rejectsFile: end.rejectsFile }),
      warnings: [...this.#warnings].map(([code, count]) => ({
        code,
        count,
        message: `${count} ${WARNINGS[code] ?? code}`,
      })),
      manifestVersion: end.head?.commit.version ?? 0,
      stateRoot: end.head?.commit.stateRoot ?? '',
      elapsedMs: end.nowMs - this.#startedMs,
      partial: end.overLimit || this.#files.some((file) => file.error !== undefined),
    }
  }
}
