import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'

/** Searches of one second on one state: what one audit entry is written about. */
export interface SearchBatch {
  readonly collection: string
  readonly stateRoot: string
  /** The searches as asked, JSON texts, in the order of their answers. */
  readonly queries: readonly string[]
}

export interface SearchJournalOptions {
  /**
   * Writes the audit entries; a rejection is said, and refuses further searches where `required`.
   */
  readonly onSearches: (batches: readonly SearchBatch[]) => Promise<void>
  readonly required: boolean
  readonly onFailure: (error: unknown) => void
}

/** How long searches are gathered. */
const INTERVAL_MS = 1_000

/** Gathers searches and hands them on once a second, or earlier where they are many. */
export class SearchJournal {
  readonly #options: SearchJournalOptions
  #batches = new Map<string, { collection: string; stateRoot: string; queries: string[] }>()
  #unwritten: readonly SearchBatch[] = []
  #searches = 0
  #bytes = 0
  #timer: NodeJS.Timeout | undefined
  #flushing: Promise<void> = Promise.resolve()
  #failed = false

  constructor(options: SearchJournalOptions) {
    this.#options = options
  }

  /** @throws AUTH where audit entries are required and the last ones could not be written */
  check(): void {
    if (!this.#failed || !this.#options.required) return
    throw new AkidbError('AUTH', 'searches must be audited, and the audit log cannot be written', {
      hint: 'See the log of the server for the cause.',
    })
  }

  /** Notes a search that was answered; waits where too many are unwritten. */
  async note(search: { collection: string; stateRoot: string; query: string }): Promise<void> {
    const key = `${search.collection}:${search.stateRoot}`
    const { collection, stateRoot } = search
    const batch = this.#batches.get(key) ?? { collection, stateRoot, queries: [] }
    this.#batches.set(key, batch)
    batch.queries.push(search.query)
    this.#searches++
    this.#bytes += search.query.length
    const isFull =
      this.#searches >= limits.serverAuditSearchesMax || this.#bytes >= limits.serverAuditBytesMax
    if (isFull) await this.flush()
    else this.#timer ??= setTimeout(() => void this.flush(), INTERVAL_MS).unref()
  }

  /** Hands on what there is, and again what must be written and was not. Never rejects. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const batches = [...this.#unwritten, ...this.#batches.values()]
    this.#unwritten = []
    this.#batches = new Map()
    this.#searches = 0
    this.#bytes = 0
    // One at a time, so that the log has them in the order of their answers.
    if (batches.length > 0) this.#flushing = this.#flushing.then(() => this.#write(batches))
    await this.#flushing
  }

  async #write(batches: readonly SearchBatch[]): Promise<void> {
    try {
      await this.#options.onSearches(batches)
      this.#failed = false
    } catch (error) {
      this.#failed = true
      this.#options.onFailure(error)
      if (!this.#options.required) return
      // No further search is answered meanwhile, so this does not grow.
      this.#unwritten = [...batches, ...this.#unwritten]
      this.#timer ??= setTimeout(() => void this.flush(), INTERVAL_MS).unref()
    }
  }
}
