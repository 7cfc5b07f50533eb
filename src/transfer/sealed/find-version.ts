import { byKey } from '../../db/sealed/target.ts'
import type { SealedBody, SealedInfo, SealedStore } from '../../storage/object-store.ts'

/**
 * The oldest version of a key that has these bytes, by the checksum that the store computed when it
 * took them: what a killed act left, or another one wrote at this moment.
 */
export async function findVersion(
  target: SealedStore,
  key: string,
  body: SealedBody,
): Promise<SealedInfo | undefined> {
  for await (const found of byKey(target.versions(key))) {
    if (found.key !== key) continue
    const checksum = await target.checksumOf(body)
    for (const { versionId, isDeleteMarker } of found.versions) {
      const info = isDeleteMarker ? undefined : await target.headVersion(key, versionId)
      if (info?.bytes === body.bytes && info.checksum === checksum) return info
    }
  }
  return undefined
}
