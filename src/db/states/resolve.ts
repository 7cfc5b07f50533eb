import { isSha256Hex } from '../../core/digest.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import type { Manifest } from '../../format/manifest.ts'
import type { CollectionStates } from './collection-states.ts'
import { LABEL } from './label.ts'
import { readSnapshot } from './snapshots.ts'

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$/

/**
 * The manifest that a word names (design §10): 64 hex digits a state root, digits a version, ISO
 * 8601 with zone the last commit at or before it, anything else a snapshot's label.
 *
 * @throws NOT_FOUND, also where gc removed it, and says so; USAGE for a word of no such form
 */
export async function resolveState(core: CollectionStates, asOf: string): Promise<Manifest> {
  if (isSha256Hex(asOf)) return await byRoot(core, asOf)
  if (/^\d+$/.test(asOf)) return await byVersion(core, Number(asOf))
  if (TIME.test(asOf)) return await byTime(core, asOf)
  if (LABEL.test(asOf)) return await byLabel(core, asOf)
  throw new AkidbError('USAGE', `"${asOf}" names no state`, {
    hint: 'Give a version, a snapshot label, a state root, or an ISO 8601 time with zone.',
  })
}

async function byVersion(core: CollectionStates, version: number): Promise<Manifest> {
  const manifest = Number.isSafeInteger(version) ? await core.manifests.find(version) : undefined
  if (manifest !== undefined) return manifest
  const newest = await core.manifests.newestVersion()
  throw notFound(
    core.name,
    `version ${version}`,
    version > 0 && version < newest
      ? 'It was removed by akidb gc; a snapshot would have kept it.'
      : `The newest version is ${newest}.`,
  )
}

async function byRoot(core: CollectionStates, root: string): Promise<Manifest> {
  for await (const manifest of core.manifests.history()) {
    if (manifest.commit.stateRoot === root) return manifest
  }
  throw notFound(core.name, `state ${root}`, 'akidb log shows the states that are kept.')
}

async function byTime(core: CollectionStates, time: string): Promise<Manifest> {
  const at = Date.parse(time)
  if (Number.isNaN(at)) throw new AkidbError('USAGE', `"${time}" is no time`)
  let newer: number | undefined
  for await (const manifest of core.manifests.history()) {
    const { version, committedAt } = manifest.commit
    const committedMs = Date.parse(committedAt)
    if (committedMs <= at) {
      // Of the versions between the two, which gc removed, one may have held at that time.
      const isSure = newer === undefined || newer === version + 1 || committedMs === at
      if (!isSure) break
      return manifest
    }
    newer = version
  }
  const hint = 'akidb gc removed it, or the first commit is later; akidb log shows what is kept.'
  throw notFound(core.name, `state of ${time}`, hint)
}

async function byLabel(core: CollectionStates, label: string): Promise<Manifest> {
  const snapshot = await readSnapshot(core, label)
  if (snapshot === undefined) {
    throw notFound(core.name, `snapshot "${label}"`, 'akidb snapshot list shows them.')
  }
  try {
    const manifest = await core.manifests.read(snapshot.version)
    if (manifest.commit.stateRoot === snapshot.stateRoot) return manifest
  } catch (error) {
    if (!hasCode(error, 'NOT_FOUND')) throw error
  }
  throw new AkidbError('INTEGRITY', `the state of snapshot "${label}" is gone from the store`, {
    hint: 'Run akidb check.',
  })
}

const notFound = (collection: string, what: string, hint: string): AkidbError =>
  new AkidbError('NOT_FOUND', `collection "${collection}" has no ${what}`, { hint })
