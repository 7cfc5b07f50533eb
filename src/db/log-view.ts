import type { Manifest } from '../format/manifest.ts'
import type { CollectionCore } from './collection/collection-core.ts'
import type { LogSource, LogView } from './collection/log-source.ts'
import type { LogRows } from './segment/log-rows.ts'
import { Fresh } from './states/freshness.ts'
import { logLength, type PieceMemory, readLog } from './wal/log-file.ts'
import type { LogOwner } from './wal/log-owner.ts'
import { outboxLength } from './wal/outbox.ts'
import { replayLog } from './wal/replay.ts'

/**
 * The log rows of a collection as a process sees them: the owner's memory where this process is the
 * owner, else a replay of the files. Replays are kept for as long as neither head nor log change.
 */
export function logSource(
  core: () => CollectionCore,
  owner: () => LogOwner | undefined,
): LogSource {
  const files = new LogFiles(core)
  return {
    rows: async (head: Manifest): Promise<LogView> => {
      const owned = await owner()?.open(head.commit.collection)
      return owned?.owns(head) === true ? await owned.rows(head) : await files.rows(head)
    },
    length: async (head) => {
      if (head === undefined) return 0
      const { environment } = core()
      const length = await logLength(environment, head.commit)
      if (environment.isShared !== true) return length
      return Math.max(length, await outboxLength(environment.state, head.commit))
    },
  }
}

class LogFiles {
  readonly #core: () => CollectionCore
  readonly #pieces: PieceMemory = new Map()
  #kept: { key: string; rows: LogRows } | undefined
  #fresh: { readonly head: string; readonly look: Fresh<number | 'stale'> } | undefined

  constructor(core: () => CollectionCore) {
    this.#core = core
  }

  async rows(head: Manifest): Promise<LogView> {
    // Nobody ever wrote to a log.
    if (head.commit.epoch === 0) return undefined
    const { clock, headAgeMaxMs = 0 } = this.#core().environment
    if (this.#fresh?.head !== head.digest) {
      this.#fresh = { head: head.digest, look: new Fresh(clock, headAgeMaxMs, 'all') }
    }
    const length = await this.#fresh.look.get(() => this.#lengthUnder(head))
    if (length === 'stale' || length <= (head.commit.log?.folded ?? 0)) {
      return length === 'stale' ? length : undefined
    }
    const key = `${head.digest}:${length}`
    if (this.#kept?.key !== key) {
      const rows = await this.#replay(head)
      if (rows === 'stale') return rows
      this.#kept = { key, rows }
    }
    return this.#kept.rows
  }

  async #lengthUnder(head: Manifest): Promise<number | 'stale'> {
    const length = await logLength(this.#core().environment, head.commit)
    return (await this.#isStale(head)) ? 'stale' : length
  }

  async #replay(head: Manifest): Promise<LogRows | 'stale'> {
    const core = this.#core()
    try {
      const entries = await readLog(core.environment, head.commit, this.#pieces)
      const rows = await replayLog(core, head, entries)
      // Asked last: only then gc may have taken commits that the replay looks at.
      return (await this.#isStale(head)) ? 'stale' : rows
    } catch (error) {
      // Its owner may have removed what it committed meanwhile.
      if (await this.#isStale(head)) return 'stale'
      throw error
    }
  }

  /**
   * Whether the log was committed after this head: its files are no longer all that the head lacks.
   */
  async #isStale(head: Manifest): Promise<boolean> {
    const { manifests } = this.#core()
    const version = await manifests.newestVersion()
    if (version === head.commit.version) return false
    const newest = (await manifests.find(version))?.commit
    return newest?.epoch !== head.commit.epoch || newest.log?.folded !== head.commit.log?.folded
  }
}
