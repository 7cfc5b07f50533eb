import type { HeadCollection } from '../bundle/head.ts'
import { sha256Hex } from '../core/digest.ts'
import { limits } from '../core/limits.ts'
import type { OnProgress } from '../db/api/api.ts'
import { runAct } from '../db/states/acts.ts'
import { manifestKeyIn } from '../db/states/manifest-store.ts'
import { createWriterPin, type WriterPin } from '../db/states/pins.ts'
import { parseReplayName, replayAddress, replayFolder } from '../db/states/replays.ts'
import type { OpenedStore } from '../db/store.ts'
import { decodeState, encodeManifest } from '../format/manifest-codec.ts'
import { checkState } from './check-state.ts'
import { type Received, receiveBundle } from './import.ts'
import { severalCollections } from './publish.ts'

export interface ReplayOptions {
  readonly name: string
  readonly read: AsyncIterable<Uint8Array>
  /** Name for a bundle's one collection. */
  readonly as?: string
  readonly onProgress?: OnProgress
  readonly signal?: AbortSignal
}

export interface ReplayResult {
  /** Addresses of the states in reading commands: `<name>@<12 hex>`. */
  readonly replays: readonly { readonly name: string; readonly stateRoot: string }[]
}

/**
 * Opens the states of a signed bundle of any age beside the store's own, read only. Nothing of the
 * store changes but the blobs and manifests under `replays/<12 hex of the head digest>/`.
 *
 * @throws UNTRUSTED, SIGNATURE, INTEGRITY, NOT_FOUND (base of a delta), NO_SPACE
 */
export async function replayBundle(
  store: OpenedStore,
  options: ReplayOptions,
): Promise<ReplayResult> {
  const { environment } = store
  const act = { act: 'replay', details: { bundle: options.name } }
  return await runAct(environment, act, async (running) => {
    const pin = createWriterPin(environment)
    try {
      const received = await receiveBundle(store, options, pin)
      const { collections } = received.head
      if (options.as !== undefined && collections.length !== 1) {
        throw severalCollections(collections.length)
      }
      await checkAll(store, received)
      const replays: Opened[] = []
      try {
        for (const entry of collections) {
          const { id: actId } = running
          replays.push(await open(store, received, entry, { actId, as: options.as, pin }))
        }
      } catch (error) {
        // Some may be there: whoever opens the store next looks, and the log says which.
        running.doubt()
        throw error
      }
      const { headDigest } = received.report
      const result = { replays: replays.map(({ name, stateRoot }) => ({ name, stateRoot })) }
      return { result, outcome: { headDigest, replays } }
    } finally {
      await pin.release().catch(() => undefined)
    }
  })
}

/** Nothing is opened before every state has been compared with its blobs. */
async function checkAll(store: OpenedStore, { head, states }: Received): Promise<void> {
  for (const { stateRoot, rows } of head.collections) {
    const bytes = states.get(stateRoot)
    if (bytes === undefined) throw new Error('a verified bundle holds its states')
    await checkState(store.environment, decodeState(bytes, `state ${stateRoot}`), rows)
  }
}

interface Opened {
  /** Address. */
  readonly name: string
  readonly stateRoot: string
  /** SHA-256 of its manifest, for the audit log. */
  readonly manifest: string
}

async function open(
  store: OpenedStore,
  received: Received,
  entry: HeadCollection,
  { actId, as, pin }: { actId: string; as: string | undefined; pin: WriterPin },
): Promise<Opened> {
  const { head, report, states } = received
  const address = replayAddress(as ?? entry.name, report.headDigest ?? '')
  const replay = parseReplayName(address)
  const stateBytes = states.get(entry.stateRoot)
  if (replay === undefined || stateBytes === undefined)
    throw new Error('a verified bundle has both')
  const file = encodeManifest(
    {
      format: 'akidb-manifest/1',
      collection: entry.id,
      name: replay.name,
      version: 1,
      parent: null,
      epoch: 0,
      committedAt: entry.committedAt,
      act: 'import',
      actId,
      actor: store.environment.actor.user,
      audit: { logId: head.log.logId, size: head.log.size, root: head.log.root },
      changed: { inserted: entry.rows, updated: 0, deleted: 0 },
      stateRoot: entry.stateRoot,
    },
    stateBytes,
  )
  const { environment } = store
  // What was received may be older than a pin holds: then this says so.
  await pin.renew()
  const notAfterMs = environment.clock.nowMs() + limits.commitLifeMs
  const key = manifestKeyIn(replayFolder(replay), 1)
  // What an earlier replay left there may be damaged; else it says the same but for this act.
  const options = environment.isShared === true ? { notAfterMs } : {}
  await environment.store.put(key, file, { ...options, mode: 'replace' })
  return { name: address, stateRoot: entry.stateRoot, manifest: sha256Hex(file) }
}
