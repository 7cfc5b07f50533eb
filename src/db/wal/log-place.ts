import { limits } from '../../core/limits.ts'
import type { Commit } from '../../format/manifest.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import { collectionFolder } from '../states/manifest-store.ts'

/** The log of which collection. */
export type LogName = Pick<Commit, 'name' | 'collection'>

/** Where the write-ahead logs of a store lie, and how they are written there. */
export interface LogPlace {
  readonly store: ObjectStore
  /** Beginning of the keys of a collection's pieces; ends with '/'. */
  prefix(log: LogName): string
  /** Beginnings of the keys of all pieces of collections of these names, dropped ones too. */
  roots(names: readonly string[]): readonly string[]
  /** A piece grows by appending; else each group is an object of its own. */
  readonly appends: boolean
  /** What to do about damage of a piece. */
  hint(key: string): string
  /** Least time from the beginning of one group to that of the next. */
  readonly groupMs: number
}

/**
 * In a folder the log lies in the state folder, as nobody else may write there. A store that
 * machines share has it within reach of all of them: a group is one object, and whoever takes the
 * log over finds what the former owner acknowledged.
 */
export const logPlace = (environment: {
  readonly store: ObjectStore
  readonly state: ObjectStore
  readonly isShared?: boolean
}): LogPlace =>
  environment.isShared === true
    ? {
        store: environment.store,
        prefix: ({ name, collection }) => `${collectionFolder(name)}/log/${collection}/`,
        roots: (names) => names.map((name) => `${collectionFolder(name)}/log/`),
        appends: false,
        groupMs: limits.logGroupMs,
        hint: () => 'Restore the object, or remove those from it on to go on without these rows.',
      }
    : {
        store: environment.state,
        prefix: ({ collection }) => `wal/${collection}/`,
        roots: () => ['wal/'],
        appends: true,
        groupMs: 0,
        hint: folderHint,
      }

/** A log in a folder of the state folder: that of one collection, others have their own. */
export const folderHint = (key: string): string => {
  const folder = key.slice(0, key.lastIndexOf('/'))
  return `Restore the state folder, or remove its folder "${folder}" to go on without these rows.`
}
