import { afterAll, beforeAll } from 'vitest'
import { createBucket, describeMinio, type MinioServer, startMinio } from '../support/minio.ts'
import { accessTo, openBucket } from '../support/s3.ts'
import { storeConformance } from './conformance.ts'

describeMinio('a bucket', () => {
  let server: MinioServer
  let stores = 0
  beforeAll(async () => {
    server = await startMinio()
    await createBucket(server, 'plain', { objectLock: false })
    await createBucket(server, 'locked', { objectLock: true })
  })
  afterAll(() => server.stop())

  for (const bucket of ['plain', 'locked']) {
    storeConformance(
      `bucket "${bucket}"`,
      async () => ({
        store: await openBucket(`s3://${bucket}/store-${stores++}`, accessTo(server)),
        dispose: async () => undefined,
      }),
      { append: false, paged: true },
    )
  }
})
