import { createMemoryStore } from '../../storage/memory-store.ts'
import type { SealedStore } from '../../storage/object-store.ts'
import type { S3Access } from '../../storage/s3/s3-access.ts'
import { systemClock } from '../../storage/system-clock.ts'
import { systemRandom } from '../../storage/system-random.ts'

/** Where sealed collections lie, and how to get there. */
export interface TargetRequest {
  /** `s3://bucket/prefix` */
  readonly target: string
  readonly s3: S3Access
  readonly signal?: AbortSignal
}

/** Opens a target for `work`, and closes it whatever happens. @throws USAGE, AUTH, UNREACHABLE */
export async function withTarget<T>(
  { target, s3, signal }: TargetRequest,
  work: (target: SealedStore) => Promise<T>,
): Promise<T> {
  const { openS3Store } = await import('../../storage/s3/s3-store.ts')
  const store = await openS3Store(target, {
    ...s3,
    ...(signal === undefined ? {} : { signal }),
    clock: systemClock,
    random: systemRandom,
    // Nothing is staged: all that is sealed lies in a store already, or is small.
    spool: createMemoryStore({ clock: systemClock }),
  })
  try {
    return await work(store)
  } finally {
    await store.close()
  }
}
