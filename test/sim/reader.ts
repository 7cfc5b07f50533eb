import { limits } from '../../src/core/limits.ts'
import { collectGarbage } from '../../src/db/gc/gc.ts'
import { payloadObject, type View } from '../../src/db/segment/view.ts'
import { hasCode } from '../../src/errors/errors.ts'
import { type Content, Violation } from './history.ts'
import { expectContent } from './observer.ts'
import type { SimProcess } from './sim-process.ts'
import { growOld, IDS, isAllowed, type Role, type Site } from './site.ts'

const HOUR_MS = 3_600_000

/** Reads the head again and again, and now and then an older state. */
export function reader(site: Site, name: string, reads: number): Role {
  let left = reads
  return {
    name,
    restarts: 2,
    work: async (process) => {
      while (left-- > 0) {
        if (site.dice.chance(0.75)) await readOnce(site, process)
        else await readOld(site, process)
        await process.environment.clock.sleep(1 + site.dice.below(100))
      }
    },
  }
}

/** Pins a view, lets others work, then reads it, as a slow search does. */
export async function readOnce(site: Site, process: SimProcess): Promise<void> {
  const { clock } = process.environment
  const startMs = clock.nowMs()
  const startStep = site.scheduler.steps
  try {
    const { content, version } = await process.core.read(undefined, async (view) => {
      await clock.sleep(site.dice.below(60))
      return { content: await contentOfView(view), version: view.manifest.commit.version }
    })
    const show = JSON.stringify([...content])
    site.scheduler.note(`${process.name} read version ${version} from step ${startStep}: ${show}`)
    site.history.checkRead(process.name, IDS, content, startStep)
  } catch (error) {
    // A pin holds for so long and no longer.
    // Where machines share a store, who reads its head has none for so long.
    const lifeMs = site.machines.length > 1 ? limits.gcSharedKeepMs / 4 : limits.pinLifeMs
    const lapsed = clock.nowMs() - startMs >= lifeMs
    const unpinned = lapsed || site.sickDisk
    if (unpinned && site.gcRuns > 0 && hasCode(error, 'INTEGRITY', 'NOT_FOUND')) return
    if (isAllowed(site, error)) return
    if (!hasCode(error, 'CONFLICT')) throw error
    // A log owner that was replaced says so instead of answering.
    if (process.owner === undefined) throw error
  }
}

/** A state of a number is always the same, and there until its reader is done. */
async function readOld(site: Site, process: SimProcess): Promise<void> {
  const { commits, newest } = site.observer
  const { clock } = process.environment
  const version = 1 + site.dice.below(newest)
  const startMs = clock.nowMs()
  let holding = false
  try {
    const content = await process.core.read(String(version), async (view) => {
      holding = true
      await clock.sleep(site.dice.below(60))
      return await contentOfView(view)
    })
    const expected = commits.get(version)?.content ?? new Map()
    expectContent(`version ${version}, read by ${process.name},`, content, expected)
  } catch (error) {
    const lapsed = clock.nowMs() - startMs >= limits.pinLifeMs
    const unpinned = lapsed || site.sickDisk
    if (isAllowed(site, error)) return
    if (site.gcRuns === 0) throw error
    if (hasCode(error, 'NOT_FOUND') && (!holding || unpinned)) return
    if (!(unpinned && hasCode(error, 'INTEGRITY')) && !hasCode(error, 'LOCKED')) throw error
  }
}

async function contentOfView(view: View): Promise<Content> {
  const content = new Map<string, number>()
  const take = (id: string, value: unknown): void => {
    if (content.has(id)) throw new Violation(`"${id}" is there twice in a view`)
    content.set(id, Number(value))
  }
  for (const { reader: segment, alive } of view.segments) {
    const ids = await segment.ids()
    for (const row of alive) {
      take(ids.id(row), payloadObject(await segment.payload(row)).get('v'))
    }
  }
  for (const { id, payload } of view.log?.rows() ?? []) take(id, payload.get('v'))
  return content
}

/** Collects garbage now and then. */
export function collector(site: Site, name: string, runs: number): Role {
  let left = runs
  return {
    name,
    restarts: 3,
    work: async (process) => {
      while (left-- > 0) {
        await growOld(site, process)
        await process.environment.clock.sleep(site.dice.below(400))
        site.gcRuns++
        const keepMs = site.dice.pick([0, 0, HOUR_MS, 7 * 24 * HOUR_MS])
        const batchBlobs = site.dice.pick([1, 2, 512])
        const batchManifests = site.dice.pick([1, 2, 512])
        try {
          await collectGarbage(process.environment, { keepMs, batchBlobs, batchManifests })
        } catch (error) {
          // Between machines, one that stood still for long gives up.
          const codes = site.machines.length > 1 ? (['LOCKED', 'CONFLICT'] as const) : []
          if (!isAllowed(site, error, 'LOCKED', ...codes)) throw error
        }
      }
    },
  }
}
