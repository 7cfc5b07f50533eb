import { describe, expect, it, vi } from 'vitest'
import { AkidbError } from '../../src/errors/errors.ts'
import { doctorTarget } from '../../src/index.ts'
import type { SealedStore } from '../../src/storage/object-store.ts'
import {
  checkLifecycle,
  checkReplication,
  checkSpace,
} from '../../src/transfer/sealed-doctor-bucket.ts'
import { describeMinio } from '../support/minio.ts'
import { addUser, replicate } from '../support/minio-admin.ts'
import { minioScene } from '../support/minio-scene.ts'
import { accessTo, bodyOf, FakeStores, openBucket } from '../support/s3.ts'

const HOUR_MS = 3_600_000

describeMinio('doctor of a bucket', () => {
  const { server: here } = minioScene({ locked: ['evidence'] })
  const { server: there } = minioScene({ locked: ['copy'] })

  const checksOf = async (server = here, target = 's3://evidence/site-a') => {
    const { ok, checks } = await doctorTarget({ target, s3: accessTo(server) })
    return { ok, of: (name: string) => checks.find((check) => check.name === name), checks }
  }

  it('names what it looked at, each with what it found', async () => {
    const { ok, checks, of } = await checksOf()
    expect(ok).toBe(true)
    expect(checks.map(({ name, status }) => `${name} ${status}`)).toEqual([
      'server ok',
      'clock ok',
      'object lock ok',
      'default retention ok',
      'writes ok',
      'prefix ok',
      'replication ok',
      'lifecycle ok',
      'space ok',
    ])
    expect(of('space')?.message).toMatch(/^[\d.]+ of [\d.]+ GiB are free/)
    expect(of('replication')?.message).toContain('no rule')
  })

  it('warns of lifecycle rules that would touch what is sealed, and of no others', async () => {
    const rule = (id: string, prefix: string, more: object) => ({
      ...{ ID: id, Status: 'Enabled', Filter: { Prefix: prefix } },
      ...more,
    })
    const set = (...rules: object[]) =>
      here.client.setBucketLifecycle('evidence', { Rule: rules } as never)
    const expires = { Expiration: { Days: 30 } }
    await set(
      rule('elsewhere', 'logs/', expires),
      rule('off', '', { ...expires, Status: 'Disabled' }),
    )
    expect((await checksOf()).of('lifecycle')).toMatchObject({ status: 'ok' })
    await set(rule('hidden', '', { NoncurrentVersionExpiration: { NoncurrentDays: 9 } }))
    expect((await checksOf()).of('lifecycle')).toMatchObject({
      status: 'ok',
      message: expect.stringContaining('"hidden" takes hidden versions'),
    })
    for (const prefix of ['', 'site', 'site-a/blobs/']) {
      await set(rule('month', prefix, expires))
      const { ok, of } = await checksOf()
      expect(ok).toBe(true)
      expect(of('lifecycle'), prefix).toMatchObject({
        status: 'warn',
        message: expect.stringContaining('"month"'),
      })
    }
    await here.client.removeBucketLifecycle('evidence')
  })

  it('says what it may not look at, to users of the policies in templates', async () => {
    const pusher = await addUser(here, 'pusher', ['push-policy'])
    const doctor = await addUser(here, 'doctor', ['push-policy', 'doctor-policy'])
    await addUser(here, 'others', ['read-policy', 'replica-policy'])
    const statuses = async (user: typeof pusher) => {
      const target = 's3://evidence/site-a'
      const s3 = accessTo({ ...here, ...user, url: here.url })
      const { checks } = await doctorTarget({ target, s3 })
      return checks.slice(-4).map(({ status, message }) => `${status} ${message.slice(0, 7)}`)
    }
    expect(await statuses(pusher)).toEqual([
      'ok nothing',
      'warn unknown',
      'warn unknown',
      'ok unknown',
    ])
    expect(await statuses(doctor)).toEqual([
      'ok nothing',
      'ok no rule',
      'ok no rule',
      expect.stringMatching(/^ok [\d.]+/),
    ])
  })

  it('counts how far the copies of the newest seals are', async () => {
    const store = await openBucket('s3://evidence/site-a', accessTo(here))
    await store.seal('seals/1.jsonl', bodyOf('before the rule'), {})
    await replicate(here, there, { bucket: 'evidence', target: 'copy' })
    // The server may copy what was there before, and soon.
    expect((await checksOf()).of('replication')?.message).toMatch(
      /to copy; (not all seals are copied: 1 without a state|of the newest seals: 1 COMPLETED)/,
    )
    const first = await store.seal('seals/2.jsonl', bodyOf('after it'), {})
    await vi.waitFor(
      async () => {
        const { of } = await checksOf()
        expect(of('replication')?.message).toMatch(/[12] COMPLETED/)
      },
      { timeout: 20_000, interval: 100 },
    )
    const copy = await openBucket('s3://copy/site-a', accessTo(there))
    expect(await copy.headVersion('seals/2.jsonl', first ?? '')).toMatchObject({
      replication: 'REPLICA',
    })
    expect((await checksOf(there, 's3://copy/site-a')).of('replication')).toMatchObject({
      status: 'ok',
      message: expect.stringMatching(/a copy of another bucket: [12] REPLICA/),
    })
    await there.kill()
    await store.seal('seals/3.jsonl', bodyOf('the other site is down'), {})
    expect((await checksOf()).of('replication')?.message).toMatch(/1 (PENDING|FAILED)/)
    await store.close()
    await copy.close()
  })
})

describe('what is said of a bucket', () => {
  const target = (parts: Partial<SealedStore>): SealedStore => parts as SealedStore
  const seals = (...states: readonly (string | undefined)[]): Partial<SealedStore> => ({
    versions: async function* () {
      for (const [i, _] of states.entries()) {
        const version = { versionId: `v${i}`, isLatest: true, isDeleteMarker: false }
        yield { key: `seals/${i}`, bytes: 1, modifiedMs: i, ...version }
      }
    },
    headVersion: async (key, versionId) => {
      const state = states[Number(versionId.slice(1))]
      const info = { key, versionId, bytes: 1, modifiedMs: 0, retention: undefined }
      return {
        ...info,
        legalHold: false,
        keyId: undefined,
        checksum: undefined,
        replication: state,
      }
    },
  })
  const rule = { id: 'r', enabled: true, prefix: '', target: 'copy' }
  const replication = (states: readonly (string | undefined)[], nowMs: number, rules = [rule]) =>
    checkReplication(target({ ...seals(...states), replicationRules: async () => rules }), nowMs)

  it.each([
    [['COMPLETED', 'COMPLETED'], 0, 'ok', '2 COMPLETED'],
    [['COMPLETED', 'PENDING'], HOUR_MS, 'ok', '1 COMPLETED, 1 PENDING'],
    [['COMPLETED', 'PENDING'], HOUR_MS + 2, 'warn', 'over an hour'],
    [['COMPLETED', 'FAILED'], 0, 'warn', 'not all seals were copied: 1 COMPLETED, 1 FAILED'],
    [['COMPLETED', undefined], 0, 'warn', '1 without a state'],
    [['NEW WORD'], 0, 'warn', '1 without a state'],
    [[], 0, 'ok', 'nothing sealed yet'],
  ] as const)('replication %j after %d ms: %s', async (states, nowMs, status, message) => {
    expect(await replication(states, nowMs)).toMatchObject({
      status,
      message: expect.stringContaining(message),
    })
  })

  it('looks at the newest seals alone', async () => {
    const old = Array.from({ length: 200 }, () => 'FAILED')
    const fresh = Array.from({ length: 32 }, () => 'COMPLETED')
    expect(await replication([...old, ...fresh], 0)).toMatchObject({
      status: 'ok',
      message: 'to copy; of the newest seals: 32 COMPLETED',
    })
  })

  it('is unknown where the user may not ask', async () => {
    const refuse = async () => {
      throw new AkidbError('AUTH', 'no')
    }
    const refused = target({ replicationRules: refuse, lifecycleRules: refuse, freeSpace: refuse })
    expect(await checkReplication(refused, 0)).toMatchObject({
      status: 'warn',
      name: 'replication',
    })
    expect(await checkLifecycle(refused)).toMatchObject({ status: 'warn', name: 'lifecycle' })
    expect(await checkSpace(refused)).toMatchObject({
      status: 'ok',
      message: expect.stringMatching(/^unknown/),
    })
    const full = target({ freeSpace: async () => ({ freeBytes: 9, bytes: 100 }) })
    expect(await checkSpace(full)).toMatchObject({ status: 'warn' })
  })

  it.each([
    ['', undefined],
    ['{', undefined],
    ['null', undefined],
    ['{"Disks":{}}', undefined],
    [
      '{"Disks":[null,7,{"availspace":-1,"totalspace":5},{"availspace":"9","totalspace":9}]}',
      undefined,
    ],
    ['{"Disks":[{"availspace":9,"totalspace":5}]}', undefined],
    [
      '{"Disks":[{"availspace":1,"totalspace":5},{"availspace":2,"totalspace":5}]}',
      { freeBytes: 3, bytes: 10 },
    ],
  ])('free space in %s', async (body, expected) => {
    const fakes = new FakeStores()
    const { store, server } = await fakes.open(() => ({ body }))
    expect(await store.freeSpace()).toEqual(expected)
    expect(server.requests).toEqual(['GET /minio/admin/v3/storageinfo'])
    await fakes.close()
  })

  it('is told from rules of every form, and from none', async () => {
    const fakes = new FakeStores()
    const lifecycle =
      '<LifecycleConfiguration><Rule><ID>a</ID><Prefix>p/</Prefix><Status>Enabled</Status>' +
      '<Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration></Rule>' +
      '<Rule><ID>b</ID><Filter><And><Prefix>p/x</Prefix><Tag><Key>k</Key></Tag></And></Filter>' +
      '<Status>Enabled</Status><Transition><Days>1</Days></Transition></Rule>' +
      '<Rule><ID>c</ID><Filter><Prefix>q</Prefix></Filter><Status>Enabled</Status>' +
      '<Expiration><Days>1</Days></Expiration></Rule>' +
      '<Rule><ID>d</ID><Filter/><Status>Enabled</Status><Expiration>' +
      '<ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration></Rule>' +
      '</LifecycleConfiguration>'
    const { store } = await fakes.open(({ url = '' }) =>
      url.includes('lifecycle')
        ? { body: lifecycle }
        : { status: 501, body: '<Error><Code>NotImplemented</Code></Error>' },
    )
    const found = await store.lifecycleRules()
    expect(found.map(({ id, expires, moves }) => [id, expires, moves])).toEqual([
      ['a', true, false],
      ['b', false, true],
      ['d', false, false],
    ])
    expect(await store.replicationRules()).toEqual([])
    await fakes.close()
  })
})
