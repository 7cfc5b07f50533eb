import { collectionNames } from './collection/lifecycle.ts'
import type { Environment } from './states/environment.ts'
import { ManifestStore } from './states/manifest-store.ts'

/** What `upgrade` changed, and what older versions can no longer do with the store. */
export interface UpgradeResult {
  readonly changed: readonly string[]
  readonly loses: readonly string[]
}

/**
 * Brings every collection to the format that this version writes. There is one format so far: a
 * head that opens is up to date, one of a newer format is refused, and nothing is ever written.
 *
 * @throws FORMAT_VERSION for a head of a newer format, INTEGRITY for one that is damaged
 */
export async function upgradeStore(
  environment: Pick<Environment, 'store'>,
  _options: { readonly dryRun?: boolean } = {},
): Promise<UpgradeResult> {
  for (const name of await collectionNames(environment)) {
    await new ManifestStore(environment.store, name).newest()
  }
  return { changed: [], loses: [] }
}
