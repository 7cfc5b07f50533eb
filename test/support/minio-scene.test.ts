import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeMinio, freePort } from './minio.ts'
import { minioScene, startScene } from './minio-scene.ts'
import { accessTo, openBucket } from './s3.ts'

describeMinio('the scene of a test', () => {
  const { server, proxy, through } = minioScene({ locked: ['locked'], plain: ['plain'] })
  const alive = async () => (await server.client.listBuckets()).map(({ name }) => name)
  const early: unknown[] = []
  beforeAll(async () => void early.push(await alive()))
  // Fails the suite where the server ended before this hook.
  afterAll(async () => void (await alive()))

  const lockOf = async (bucket: string) => {
    const store = await openBucket(`s3://${bucket}/a`, accessTo(through, { retryForMs: 0 }))
    try {
      return (await store.lockState()).locked
    } finally {
      await store.close()
    }
  }

  it('is there before the hooks of the suite, with both kinds of buckets', async () => {
    expect(early).toEqual([['locked', 'plain']])
    expect([await lockOf('locked'), await lockOf('plain')]).toEqual([true, false])
    expect(proxy.requests.length).toBeGreaterThan(0)
    // The next test finds none of it.
    proxy.onRequest = () => ({ kind: 'cut-before' })
    proxy.gate = () => new Promise(() => undefined)
    proxy.latencyMs = 3_600_000
  })

  it('passes on again what the test before it had spoiled', async () => {
    expect(await lockOf('locked')).toBe(true)
  })

  it('ends where it fails half-way', async () => {
    const port = await freePort()
    const started = startScene({ port, plain: ['good', 'No Bucket'] })
    await expect(started).rejects.toThrow('Invalid bucket name')
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow('fetch failed')
  })
})
