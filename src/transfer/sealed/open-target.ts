import type { SealedStore } from '../../storage/object-store.ts'
import type { S3Access } from '../../storage/s3/s3-access.ts'

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
  const { openSealedStore } = await import('../../storage/s3/open-sealed-store.ts')
  const store = await openSealedStore(target, signal === undefined ? s3 : { ...s3, signal })
  try {
    return await work(store)
  } finally {
    await store.close()
  }
}
