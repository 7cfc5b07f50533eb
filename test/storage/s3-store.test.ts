import { describeMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import { accessTo, openBucket } from '../support/s3.ts'
import { storeConformance } from './conformance.ts'

describeMinio('a bucket', () => {
  const { server } = minioScene({ plain: ['plain'], locked: ['locked'] })
  let stores = 0

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
