import { AkidbError, hasCode } from '../../errors/errors.ts'
import type { SealedStore } from '../../storage/object-store.ts'
import { smallBody } from './write-ledger.ts'

/** What a bucket does, as it was seen to do it. */
export interface BucketProbe {
  /** A second `If-None-Match: *` under one key is refused. */
  readonly conditionalPut: boolean
  /** It says which checksum it computed. */
  readonly checksums: boolean
  /** What was written could be removed again. */
  readonly removed: boolean
}

/**
 * Tries what a push relies on: writes a small object under a random key, tries to write it again,
 * and removes what was written, version by version.
 *
 * @param name random, so that two probes never meet
 * @throws AUTH, UNREACHABLE
 */
export async function probeBucket(target: SealedStore, name: string): Promise<BucketProbe> {
  const key = `probe-${name}`
  const body = smallBody(Buffer.from('akidb looks what this bucket can do\n'))
  const first = await target.seal(key, body, {})
  if (first === undefined) throw new AkidbError('CONFLICT', `${key} is there already`)
  const info = await target.headVersion(key, first)
  const second = await target.seal(key, body, {})
  let removed = true
  for (const versionId of [second, first]) {
    if (versionId === undefined) continue
    // A default retention of the bucket may hold it.
    removed = (await remove(target, key, versionId)) && removed
  }
  return { conditionalPut: second === undefined, checksums: info?.checksum !== undefined, removed }
}

async function remove(target: SealedStore, key: string, versionId: string): Promise<boolean> {
  try {
    await target.deleteVersion(key, versionId)
    return true
  } catch (error) {
    if (hasCode(error, 'RETENTION', 'AUTH')) return false
    throw error
  }
}

/** @throws CONFLICT where the bucket overwrites what it must not */
export async function requireConditionalPut(target: SealedStore, name: string): Promise<void> {
  const { conditionalPut } = await probeBucket(target, name)
  if (conditionalPut) return
  throw new AkidbError('CONFLICT', `the server of ${target.url} ignores If-None-Match`, {
    hint: 'It would overwrite what is sealed. Use a server that honours conditional PUTs.',
  })
}
