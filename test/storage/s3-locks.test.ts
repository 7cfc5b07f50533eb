import { RETENTION_MODES, RETENTION_VALIDITY_UNITS } from 'minio'
import { beforeAll, expect, it } from 'vitest'
import type { Retention, SealedStore } from '../../src/storage/object-store.ts'
import { describeMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import { accessTo, bodyOf, openBucket } from '../support/s3.ts'

const DAY_MS = 86_400_000

describeMinio('locks of a bucket', () => {
  const { server } = minioScene({
    plain: ['plain', 'versioned', 'suspended'],
    locked: ['locked', 'days', 'years'],
  })
  let store: SealedStore
  beforeAll(async () => {
    await server.client.setBucketVersioning('versioned', { Status: 'Enabled' })
    await server.client.setBucketVersioning('suspended', { Status: 'Enabled' })
    await server.client.setBucketVersioning('suspended', { Status: 'Suspended' })
    await server.client.setObjectLockConfig('days', {
      mode: RETENTION_MODES.GOVERNANCE,
      unit: RETENTION_VALIDITY_UNITS.DAYS,
      validity: 3,
    })
    await server.client.setObjectLockConfig('years', {
      mode: RETENTION_MODES.COMPLIANCE,
      unit: RETENTION_VALIDITY_UNITS.YEARS,
      validity: 2,
    })
    store = await openBucket('s3://locked/a', accessTo(server))
  })

  const inDays = (days: number, mode: Retention['mode'] = 'COMPLIANCE'): Retention => ({
    mode,
    untilMs: Math.floor(Date.now() / 1_000) * 1_000 + days * DAY_MS,
  })
  async function seal(key: string, retention?: Retention): Promise<string> {
    const options = retention === undefined ? {} : { retention }
    return (await store.seal(key, bodyOf(key), options)) ?? ''
  }
  const refused = { code: 'RETENTION', exitCode: 23 }

  it.each([
    ['plain', { versioned: false, locked: false, defaultRetention: undefined }],
    ['versioned', { versioned: true, locked: false, defaultRetention: undefined }],
    ['suspended', { versioned: false, locked: false, defaultRetention: undefined }],
    ['locked', { versioned: true, locked: true, defaultRetention: undefined }],
    ['days', { versioned: true, locked: true, defaultRetention: { mode: 'GOVERNANCE', days: 3 } }],
    [
      'years',
      { versioned: true, locked: true, defaultRetention: { mode: 'COMPLIANCE', days: 730 } },
    ],
  ])('are told of bucket "%s"', async (bucket, expected) => {
    const target = await openBucket(`s3://${bucket}`, accessTo(server))
    expect(await target.lockState()).toEqual(expected)
  })

  it('grow, and never shrink', async () => {
    const [short, long] = [inDays(2), inDays(5)]
    const versionId = await seal('grows', short)
    await store.setRetention('grows', versionId, long)
    expect((await store.headVersion('grows', versionId))?.retention).toEqual(long)
    await store.setRetention('grows', versionId, long)
    const softer = { ...inDays(9), mode: 'GOVERNANCE' } as const
    for (const change of [short, softer, { ...long, untilMs: long.untilMs - 1_000 }]) {
      const changing = store.setRetention('grows', versionId, change)
      await expect(changing).rejects.toMatchObject(refused)
    }
    expect((await store.headVersion('grows', versionId))?.retention).toEqual(long)
  })

  it('grow under GOVERNANCE, and harden to COMPLIANCE, but not both ways at once', async () => {
    const [short, long] = [inDays(2, 'GOVERNANCE'), inDays(5, 'GOVERNANCE')]
    const versionId = await seal('governed', short)
    await store.setRetention('governed', versionId, long)
    await expect(store.setRetention('governed', versionId, short)).rejects.toMatchObject(refused)
    const harder = store.setRetention('governed', versionId, inDays(4))
    await expect(harder).rejects.toMatchObject(refused)
    await store.setRetention('governed', versionId, inDays(5))
    expect((await store.headVersion('governed', versionId))?.retention?.mode).toBe('COMPLIANCE')
  })

  it('are put on what had none, and not in the past', async () => {
    const versionId = await seal('free')
    expect((await store.headVersion('free', versionId))?.retention).toBeUndefined()
    const past = store.setRetention('free', versionId, inDays(-1))
    await expect(past).rejects.toMatchObject({ code: 'BAD_INPUT' })
    await store.setRetention('free', versionId, inDays(1))
    expect((await store.headVersion('free', versionId))?.retention?.mode).toBe('COMPLIANCE')
    const late = store.seal('late', bodyOf('x'), { retention: inDays(-1) })
    await expect(late).rejects.toMatchObject({ code: 'BAD_INPUT' })
  })

  it('hold for a court, and let go', async () => {
    const versionId = await seal('held')
    await store.setLegalHold('held', versionId, true)
    expect((await store.headVersion('held', versionId))?.legalHold).toBe(true)
    await expect(store.deleteVersion('held', versionId)).rejects.toMatchObject(refused)
    await store.setLegalHold('held', versionId, false)
    expect((await store.headVersion('held', versionId))?.legalHold).toBe(false)
    await store.deleteVersion('held', versionId)
    expect(await store.headVersion('held', versionId)).toBeUndefined()
    // It is gone: nothing is left to do.
    await store.deleteVersion('held', versionId)
  })

  it('are those of the bucket where the object brings none', async () => {
    const days = await openBucket('s3://days/a', accessTo(server))
    const versionId = (await days.seal('k', bodyOf('x'), {})) ?? ''
    expect((await days.headVersion('k', versionId))?.retention?.mode).toBe('GOVERNANCE')
    await expect(days.delete('k')).rejects.toMatchObject(refused)
  })

  it('are refused by a bucket that has none', async () => {
    const plain = await openBucket('s3://plain/a', accessTo(server))
    const hint = expect.stringContaining('mc mb --with-lock')
    for (const options of [{ retention: inDays(1) }, { legalHold: true }]) {
      const sealing = plain.seal('k', bodyOf('x'), options)
      await expect(sealing).rejects.toMatchObject({ ...refused, hint })
    }
    expect(await plain.head('k')).toBeUndefined()
  })

  it('keep the newest until all that lies beneath it is gone', async () => {
    const [free, locked] = [await openBucket('s3://versioned/a', accessTo(server)), store]
    for (const target of [free, locked]) {
      for (const text of ['1', '2', '3']) {
        await target.put('k', Buffer.from(text), { mode: 'replace' })
      }
    }
    expect(await free.delete('k')).toBe(true)
    expect(await free.head('k')).toBeUndefined()
    for await (const version of free.versions('k')) expect.fail(version.versionId)
    const versions = []
    for await (const version of locked.versions('k')) versions.push(version)
    await locked.setRetention('k', versions.at(-1)?.versionId ?? '', inDays(1))
    await expect(locked.delete('k')).rejects.toMatchObject(refused)
    expect(Buffer.from(await locked.get('k')).toString()).toBe('3')
  })
})
