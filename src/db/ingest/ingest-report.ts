import type { AkidbError } from '../../errors/errors.ts'
import type { Manifest } from '../../format/manifest.ts'
import type { IngestFileResult, IngestResult } from '../api/api.ts'

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
  /** In the order of the inputs; undefined while a file waits for its commit. */
  readonly #files: (IngestFileResult | undefined)[] = []
  readonly #warnings = new Map<string, number>()
  #pending: { readonly file: PendingFile; readonly at: number }[] = []
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
    const last = this.#files.length - 1
    // A pipe comes in several commits, but is one input.
    const goesOn = file.sha256 === null && this.#files[last]?.path === file.path
    const at = goesOn ? last : this.#files.push(undefined) - 1
    this.#pending.push({ file, at })
    this.rows += file.rows
    this.rejected += file.rejected
  }

  /** @param updated rows of each pending file that replaced an older row */
  committed(updated: readonly number[]): void {
    for (const [i, { file, at }] of this.#pending.entries()) {
      const count = updated[i] ?? 0
      const done = { ...file, inserted: file.rows - count, updated: count, skipped: false }
      this.#files[at] = sum(this.#files[at], done)
      this.committedRows += file.rows
    }
    this.#pending = []
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
    const files = this.#files.filter((file) => file !== undefined)
    const total = (pick: (file: IngestFileResult) => number): number =>
      files.reduce((count, file) => count + pick(file), 0)
    return {
      collection: end.collection,
      store: end.store,
      created: this.created,
      files,
      inserted: total((file) => file.inserted),
      updated: total((file) => file.updated),
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
      partial: end.overLimit || files.some((file) => file.error !== undefined),
    }
  }
}

/** What a further commit adds to an input. */
const sum = (former: IngestFileResult | undefined, more: IngestFileResult): IngestFileResult =>
  former === undefined
    ? more
    : {
        ...more,
        rows: former.rows + more.rows,
        inserted: former.inserted + more.inserted,
        updated: former.updated + more.updated,
        rejected: former.rejected + more.rejected,
      }
