import type { CollectionState } from '../../src/format/manifest.ts'
import { decodeManifest, encodeManifest, encodeState } from '../../src/format/manifest-codec.ts'
import type { ListOptions, ObjectInfo, ObjectStore } from '../../src/storage/object-store.ts'

/** A store that does some things differently, as a broken engine or a broken disk would. */
function altered(store: ObjectStore, changes: Partial<ObjectStore>): ObjectStore {
  return new Proxy(store, {
    get: (target, name) => {
      const own = changes[name as keyof ObjectStore]
      if (own !== undefined) return own
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

const isManifest = (key: string): boolean => key.includes('/manifests/')

/** Commits manifests without the tombstones that the engine computed: old rows come back. */
export const withoutTombstones = (store: ObjectStore): ObjectStore =>
  withStates(store, (state) => ({
    ...state,
    segments: state.segments.map(({ tombstones: _, ...segment }) => segment),
  }))

/** Commits manifests without their last segment: rows are lost. */
export const withoutLastSegment = (store: ObjectStore): ObjectStore =>
  withStates(store, (state) => ({ ...state, segments: state.segments.slice(0, -1) }))

function withStates(
  store: ObjectStore,
  change: (state: CollectionState) => CollectionState,
): ObjectStore {
  return altered(store, {
    put: (key, body, options) => {
      if (!isManifest(key)) return store.put(key, body, options)
      const { commit, state } = decodeManifest(body, key)
      const { bytes, stateRoot } = encodeState(change(state))
      return store.put(key, encodeManifest({ ...commit, stateRoot }, bytes), options)
    },
  })
}

/** Where a manifest is already there, the loser of the race is told that it won. */
export const withoutConflicts = (store: ObjectStore): ObjectStore =>
  altered(store, {
    put: async (key, body, options) => {
      const put = await store.put(key, body, options)
      return isManifest(key) ? 'created' : put
    },
  })

/** Nobody sees what others have pinned. */
export const withoutPins = (store: ObjectStore): ObjectStore => hiding(store, 'pins/')

/** Nobody sees that another one became the log's owner. */
export const withoutOwners = (store: ObjectStore): ObjectStore => hiding(store, '/owner/')

/** What was acknowledged in a state folder alone is not found again. */
export const withoutOutbox = (state: ObjectStore): ObjectStore => hiding(state, 'outbox/')

/** Nobody sees what is about to be deleted. */
export const withoutLists = (store: ObjectStore): ObjectStore => hiding(store, 'gc/')

/** Nobody sees whose collections others are about to make. */
export const withoutClaims = (store: ObjectStore): ObjectStore => hiding(store, 'names/')

/** What was decided long ago is done all the same. */
export const withoutDeadlines = (store: ObjectStore): ObjectStore =>
  altered(store, {
    put: (key, body, { notAfterMs: _, ...options } = {}) => store.put(key, body, options),
    delete: (key, { notAfterMs: _, ...options } = {}) => store.delete(key, options),
  })

function hiding(store: ObjectStore, part: string): ObjectStore {
  return altered(store, {
    list: (prefix: string, options?: ListOptions): AsyncIterable<ObjectInfo> =>
      prefix.includes(part) ? nothing() : store.list(prefix, options),
  })
}

async function* nothing(): AsyncGenerator<ObjectInfo> {}
