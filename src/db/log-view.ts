import type { Manifest } from '../format/manifest.ts'
import type { CollectionCore } from './collection-core.ts'
import { Fresh } from './freshness.ts'
import type { LogRows } from './log-rows.ts'
import type { LogSource } from './log-source.ts'
import { logLength, readLog } from './wal/log-file.ts'
import type { LogOwner } from './wal/log-owner.ts'
import { replayLog } from './wal/replay.ts'

/**
 * The log rows of a collection as a process sees them: the owner's memory where this process is the owner, else a
 * replay of the files. Replays are kept for as long as neither head nor log change.
 */
export function logSource(
  core: () => CollectionCore,
  owner: () => LogOwner | undefined,
): LogSource {
  let kept: { key: string; rows: LogRows } | undefined
  let fresh: { readonly head: string; readonly length: Fresh<number> } | undefined
  return {
    rows: async (head: Manifest): Promise<LogRows | undefined> => {
      const owned = await owner()?.open(head.commit.collection)
      if (owned !== undefined) return await owned.rows(head)
      const { state, clock, headAgeMaxMs = 0 } = core().environment
      const { collection, epoch } = head.commit
      if (fresh?.head !== head.digest) {
        fresh = { head: head.digest, length: new Fresh(clock, headAgeMaxMs) }
      }
      const length = await fresh.length.get(() => logLength(state, collection, epoch))
      if (length <= (head.commit.log?.folded ?? 0)) return undefined
      const key = `${head.digest}:${length}`
      if (kept?.key !== key) {
        const rows = await replayLog(core(), head, await readLog(state, collection, epoch))
        rows.version += (kept?.rows.version ?? 0) + 1
        kept = { key, rows }
      }
      return kept.rows
    },
    length: async (head) =>
      head === undefined
        ? 0
        : await logLength(core().environment.state, head.commit.collection, head.commit.epoch),
  }
}
