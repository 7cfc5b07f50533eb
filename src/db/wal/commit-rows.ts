import { setImmediate } from 'node:timers/promises'
import type { LogPosition, Manifest } from '../../format/manifest.ts'
import { NO_SOURCE } from '../../format/origin-section.ts'
import { commitAppend, isHeadMoved } from '../collection/append.ts'
import type { CollectionCore } from '../collection/collection-core.ts'
import type { LogRows } from '../segment/log-rows.ts'
import { SegmentBuilder } from '../segment/segment-builder.ts'
import { runAct } from '../states/acts.ts'
import { createWriterPin } from '../states/pins.ts'

/** Searches and writes get their turn after so many rows. */
const ROWS_A_TURN = 64

export interface RowsToCommit {
  /** The head that `rows` stand on. */
  readonly head: Manifest
  readonly rows: LogRows
  /** Where the log is after it. */
  readonly log: LogPosition
  /** A head of a higher epoch is refused. */
  readonly ownEpoch: number
  /** See CommitRequest. */
  readonly onQuiet?: () => void
}

/**
 * Commits log rows as one segment on exactly this head. @returns undefined where the head moved
 * meanwhile
 */
export async function commitLogRows(
  core: CollectionCore,
  work: RowsToCommit,
): Promise<Manifest | undefined> {
  const { head, rows, log } = work
  const { environment } = core
  const { schema, index } = head.state
  const details = { rows: rows.live, deleted: rows.touched - rows.live, epoch: log.epoch }
  const act = { act: 'upsert', collection: core.name, parent: head, details }
  const pin = createWriterPin(environment)
  try {
    return await runAct(environment, act, async (running) => {
      const builder = new SegmentBuilder({ schema, index, withGraph: true, tier: 'written' })
      for (const row of rows.rows()) {
        builder.add({ ...row, source: NO_SOURCE, position: 0 })
        if (builder.rows % ROWS_A_TURN === 0) await setImmediate()
      }
      const targets = { store: environment.store, pin, builder: environment.builder }
      const segments = builder.rows === 0 ? [] : [await builder.finish(targets)]
      const deletedIds = [...rows.touchedIds()].filter((id) => rows.get(id) === undefined)
      const manifest = await commitAppend(core, running, pin, {
        kind: 'upsert',
        collection: head.commit.collection,
        schema,
        index,
        segments: segments.map((segment) => ({ ...segment, sources: [] })),
        sources: [],
        deletedIds,
        log,
        epoch: log.epoch,
        ownEpoch: work.ownEpoch,
        ...(work.onQuiet === undefined ? {} : { onQuiet: work.onQuiet }),
        onlyOn: head.digest,
      })
      const { version, stateRoot } = manifest.commit
      return { result: manifest, outcome: { version, manifest: manifest.digest, stateRoot } }
    })
  } catch (error) {
    if (isHeadMoved(error)) return undefined
    throw error
  } finally {
    await pin.release().catch(() => undefined)
  }
}
