import { limits } from '../../core/limits.ts'
import { object, ShapeError, text, whole } from '../../core/shape.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import type { Manifest } from '../../format/manifest.ts'
import { getBounded } from '../../storage/bounded-get.ts'
import type { SnapshotInfo } from '../api/api.ts'
import { runAct } from './acts.ts'
import type { CollectionStates } from './collection-states.ts'
import { LABEL } from './label.ts'
import { pinManifest, type StatePin } from './pins.ts'

const snapshotPrefix = (name: string): string => `collections/${name}/snapshots/`
export const snapshotKey = (name: string, label: string): string =>
  `${snapshotPrefix(name)}${label}.json`

const shape = object({
  label: text(LABEL),
  stateRoot: text(/^[0-9a-f]{64}$/),
  version: whole(1),
  committedAt: text(),
})

/**
 * Pins the head under a label.
 *
 * @param collection id of the collection that is meant, where the caller knows it
 * @throws EXISTS, USAGE for a label of another form; CONFLICT where that collection was dropped
 */
export async function createSnapshot(
  core: CollectionStates,
  label: string,
  collection?: string,
): Promise<SnapshotInfo> {
  if (!LABEL.test(label)) {
    throw new AkidbError('USAGE', `"${label}" is no label`, {
      hint: 'A letter or _, then at most 62 letters, digits, ".", "_" or "-".',
    })
  }
  const { isShared, clock } = core.environment
  const late = { notAfterMs: clock.nowMs() + limits.commitLifeMs }
  const { head, pin } = await pinnedHead(core)
  const id = collection ?? head.commit.collection
  const info: SnapshotInfo = {
    label,
    stateRoot: head.commit.stateRoot,
    version: head.commit.version,
    committedAt: head.commit.committedAt,
  }
  const act = { act: 'snapshot.create', collection: core.name, parent: head, details: { label } }
  const created = runAct(core.environment, act, async () => {
    const body = Buffer.from(JSON.stringify(info))
    // One that is dropped from here on had its snapshot before.
    for (const state of [head, await core.manifests.newest()]) {
      if (state?.commit.collection !== id || state.state.dropped === true) throw gone(core.name)
    }
    const put = await core.environment.store.put(
      snapshotKey(core.name, label),
      body,
      isShared === true ? late : {},
    )
    if (put === 'exists') {
      throw new AkidbError('EXISTS', `"${core.name}" already has a snapshot "${label}"`, {
        hint: 'Choose another label, or drop that one first.',
      })
    }
    return { result: info, outcome: { label, stateRoot: info.stateRoot } }
  })
  return await created.finally(() => pin.release())
}

const gone = (name: string): AkidbError =>
  new AkidbError('CONFLICT', `"${name}" was dropped while its snapshot was made`, {
    hint: 'Look at akidb show; run the command again for the collection that is there now.',
  })

/** The head, held until a snapshot names it: a newer commit would let gc take it before. */
async function pinnedHead(core: CollectionStates): Promise<{ head: Manifest; pin: StatePin }> {
  for (let attempt = 0; attempt < limits.commitAttemptsMax; attempt++) {
    const head = await core.head()
    const options = { wait: false }
    const pin = await pinManifest(core.environment, core.manifests, head, options)
    if (pin !== undefined) return { head, pin }
  }
  throw new AkidbError('CONFLICT', `"${core.name}" is changing too fast for a snapshot`, {
    hint: 'Run the command again.',
  })
}

/** By label, bytewise. */
export async function listSnapshots(core: CollectionStates): Promise<SnapshotInfo[]> {
  const found: SnapshotInfo[] = []
  for await (const info of core.environment.store.list(snapshotPrefix(core.name))) {
    const label = info.key.slice(snapshotPrefix(core.name).length, -'.json'.length)
    const snapshot = await readSnapshot(core, label)
    if (snapshot !== undefined) found.push(snapshot)
  }
  return found
}

export async function readSnapshot(
  core: CollectionStates,
  label: string,
): Promise<SnapshotInfo | undefined> {
  const key = snapshotKey(core.name, label)
  try {
    const { store } = core.environment
    const bytes = await getBounded(store, key, limits.smallFileBytesMax)
    return shape(JSON.parse(Buffer.from(bytes).toString('utf8')), key)
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND')) return undefined
    if (error instanceof ShapeError || error instanceof SyntaxError) {
      throw new AkidbError('INTEGRITY', `snapshot ${key} is damaged: ${error.message}`, {
        details: { key },
      })
    }
    throw error
  }
}

/** @throws NOT_FOUND */
export async function dropSnapshot(core: CollectionStates, label: string): Promise<void> {
  const snapshot = LABEL.test(label) ? await readSnapshot(core, label) : undefined
  if (snapshot === undefined) {
    throw new AkidbError('NOT_FOUND', `"${core.name}" has no snapshot "${label}"`, {
      hint: 'akidb snapshot list shows them.',
    })
  }
  const act = {
    act: 'snapshot.drop',
    collection: core.name,
    details: { label, stateRoot: snapshot.stateRoot },
  }
  await runAct(core.environment, act, async () => {
    await core.environment.store.delete(snapshotKey(core.name, label))
    return { result: undefined, outcome: { label } }
  })
}
