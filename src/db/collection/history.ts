import { AkidbError } from '../../errors/errors.ts'
import type { Manifest } from '../../format/manifest.ts'
import type { LogEntry, WriteResult } from '../api/api.ts'
import { liveCount, openView } from '../segment/view.ts'
import { runAct } from '../states/acts.ts'
import { commitManifest } from '../states/commit.ts'
import { createWriterPin, holdState, type WriterPin } from '../states/pins.ts'
import { resolveState } from '../states/resolve.ts'
import { listSnapshots } from '../states/snapshots.ts'
import { checkFollowing, seenLog } from './append.ts'
import { type CollectionCore, commitLockName } from './collection-core.ts'
import { diffStates } from './diff.ts'

/** Commits, newest first. */
export async function* logEntries(core: CollectionCore, limit: number): AsyncIterable<LogEntry> {
  const labels = new Map<number, string[]>()
  for (const snapshot of await listSnapshots(core)) {
    labels.set(snapshot.version, [...(labels.get(snapshot.version) ?? []), snapshot.label])
  }
  let count = 0
  for await (const { commit, state } of core.manifests.history()) {
    if (count++ >= limit) return
    const source = commit.act === 'ingest' ? state.sources.at(-1)?.name : undefined
    yield {
      version: commit.version,
      committedAt: commit.committedAt,
      act: commit.act,
      actor: commit.actor,
      inserted: commit.changed.inserted,
      deleted: commit.changed.deleted,
      updated: commit.changed.updated,
      ...(source === undefined ? {} : { source }),
      stateRoot: commit.stateRoot,
      labels: labels.get(commit.version) ?? [],
    }
  }
}

/**
 * Commits an old line 2 under the next number: nothing is unmade, the revert is in the history too.
 */
export async function revertTo(
  core: CollectionCore,
  to: string,
  dryRun: boolean,
): Promise<WriteResult> {
  const head = await core.head()
  checkFollowing(core.name, head, 'revert')
  const target = await resolveState(core, to)
  checkTarget(core.name, head, target)
  if (dryRun) return resultOf(head, await difference(core, head, target))
  const pin = createWriterPin(core.environment)
  try {
    for (const state of [head, target]) await holdState(pin, core.manifests, state)
    const changed = await difference(core, head, target)
    const same = target.commit.stateRoot === head.commit.stateRoot
    if (same && !(await hasOpenLog(core, head))) return resultOf(head, changed)
    return resultOf(await commitRevert(core, pin, { head, target, changed }), changed)
  } finally {
    await pin.release()
  }
}

interface Revert {
  readonly head: Manifest
  readonly target: Manifest
  readonly changed: Changed
}

async function commitRevert(
  core: CollectionCore,
  pin: WriterPin,
  { head, target, changed }: Revert,
): Promise<Manifest> {
  const details = { to: target.commit.stateRoot, version: target.commit.version }
  const act = { act: 'revert', collection: core.name, parent: head, details }
  return await runAct(core.environment, act, async (running) => {
    const manifest = await commitManifest(core.environment, {
      manifests: core.manifests,
      name: core.name,
      lock: commitLockName(head.commit.collection),
      kind: 'revert',
      act: running,
      pin,
      next: async (now) => {
        if (now?.digest !== head.digest) throw changedMeanwhile(core.name)
        return {
          state: target.state,
          stateBytes: target.stateBytes,
          changed,
          log: await seenLog(core, now),
        }
      },
    })
    const done = manifest ?? head
    const { version, stateRoot } = done.commit
    return { result: done, outcome: { version, manifest: done.digest, stateRoot } }
  })
}

/** Rows of a write-ahead log are in no state: a revert takes them back too. */
async function hasOpenLog(core: CollectionCore, head: Manifest): Promise<boolean> {
  const length = (await core.log?.length(head)) ?? 0
  return length > (head.commit.log?.folded ?? 0)
}

function checkTarget(name: string, head: Manifest, target: Manifest): void {
  if (target.commit.collection !== head.commit.collection || target.state.dropped === true) {
    throw new AkidbError('CONFLICT', `version ${target.commit.version} of "${name}" is not of it`, {
      hint: 'It belongs to a collection of that name that was dropped.',
    })
  }
}

const changedMeanwhile = (name: string): AkidbError =>
  new AkidbError('CONFLICT', `"${name}" changed while it was being reverted`, {
    hint: 'Look at akidb log again.',
  })

const resultOf = (manifest: Manifest, changed: Changed): WriteResult => ({
  ...changed,
  manifestVersion: manifest.commit.version,
  stateRoot: manifest.commit.stateRoot,
})

type Changed = Pick<WriteResult, 'inserted' | 'updated' | 'deleted'>

/** Rows that a revert brings back and takes away, by counts of ids; see diff.ts for which. */
async function difference(core: CollectionCore, from: Manifest, to: Manifest): Promise<Changed> {
  const { inserted, updated, deleted } = await diffStates(core, from, to, 0)
  return { inserted, updated, deleted }
}

/** Live records of a state. */
export async function countOf(core: CollectionCore, manifest: Manifest): Promise<number> {
  const view = await openView(core.environment.store, manifest, (entry) => core.reader(entry))
  return liveCount(view)
}
