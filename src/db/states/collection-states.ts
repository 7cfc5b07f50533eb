import type { Manifest } from '../../format/manifest.ts'
import type { Environment } from './environment.ts'
import type { ManifestStore } from './manifest-store.ts'

/** A collection as far as its states are found, named and pinned. */
export interface CollectionStates {
  readonly environment: Environment
  readonly name: string
  readonly manifests: ManifestStore
  /** The newest manifest. @throws NOT_FOUND where there is none or the collection was dropped */
  head(): Promise<Manifest>
}
