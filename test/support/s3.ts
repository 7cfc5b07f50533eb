import { createMemoryStore } from '../../src/storage/memory-store.ts'
import type { SealedStore } from '../../src/storage/object-store.ts'
import type { S3Access } from '../../src/storage/s3/s3-access.ts'
import { openS3Store } from '../../src/storage/s3/s3-store.ts'
import { systemClock } from '../../src/storage/system-clock.ts'
import { systemRandom } from '../../src/storage/system-random.ts'
import type { MinioServer } from './minio.ts'

/** How a test reaches a server. Failures are soon given up. */
export const accessTo = (
  { url, accessKey, secretKey }: Pick<MinioServer, 'url' | 'accessKey' | 'secretKey'>,
  more: S3Access = {},
): S3Access => ({ endpoint: url, accessKey, secretKey, retryForMs: 5_000, ...more })

/** A store in a test's bucket. */
export const openBucket = (url: string, access: S3Access): Promise<SealedStore> =>
  openS3Store(url, {
    ...access,
    clock: systemClock,
    random: systemRandom,
    spool: createMemoryStore({ clock: systemClock }),
  })
