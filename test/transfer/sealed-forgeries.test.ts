import { createHash } from 'node:crypto'
import { expect, it, onTestFinished, vi } from 'vitest'
import { verifyBucketLogs } from '../../src/transfer/sealed-audit.ts'
import { sealedStatus } from '../../src/transfer/worm/status.ts'
import { Attacker } from '../support/attacker.ts'
import { describeMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import { arrives, sealedScene } from './sealed-scene.ts'
import {
  addRows,
  COMPLIANCE,
  placeAt,
  problemsOf,
  pull,
  push,
  readerOf,
  rootOf,
  verify,
  versionsOf,
} from './sealed-sites.ts'

describeMinio('what root of the server plants in a sealed store', () => {
  const { server, proxy, through } = minioScene({ locked: ['evidence'] })

  it('a newer manifest: it takes part in nothing, and no push goes over it', async () => {
    const scene = await sealedScene(server, { retain: COMPLIANCE })
    const { store, target, attacker, versions } = scene
    const [newest = ''] = [...versions.keys()].filter((key) => key.includes('manifests/')).sort()
    const manifest = (await attacker.read(newest)).toString()
    const { version } = JSON.parse(manifest.split('\n')[0] ?? '') as { version: number }
    const name = (at: number) => newest.replace(/\d{20}/, `${99999999999999999999n - BigInt(at)}`)
    expect(name(version)).toBe(newest)
    const forged = manifest.replace(`"version":${version}`, `"version":${version + 1}`)
    await attacker.overwrite(name(version + 1), Buffer.from(forged))
    expect(await verify(store, target)).toMatchObject({ ok: true, orphans: { objects: 1 } })
    await arrives(scene)
    await (await store.collection('docs')).delete({ ids: ['r1'] })
    await expect(push(store, target, { retain: COMPLIANCE })).rejects.toMatchObject({
      code: 'CONFLICT',
      details: { key: name(version + 1) },
    })
    expect(await problemsOf(store, target)).toEqual([])
  })

  it('objects that no seal speaks of: counted, and asked for side by side', async () => {
    const { store, target, attacker } = await sealedScene(server)
    for (let i = 0; i < 6; i++) {
      await attacker.overwrite(`blobs/0/aa/${'0'.repeat(63)}${i}`, Buffer.from('junk'))
    }
    const [running, most] = [new Set<string>(), { asked: 0 }]
    const head = target.headVersion.bind(target)
    const spy = vi.spyOn(target, 'headVersion').mockImplementation(async (key, versionId) => {
      most.asked = Math.max(most.asked, running.add(key).size)
      return await head(key, versionId).finally(() => running.delete(key))
    })
    onTestFinished(() => spy.mockRestore())
    const { orphans } = await sealedStatus(target, await store.environment.keys.trusted())
    expect(orphans).toEqual({ objects: 6, bytes: 24, lockedUntil: null })
    expect(most.asked).toBe(6)
  })

  it('seals of its own: named, and not believed', async () => {
    const scene = await sealedScene(server, { retain: COMPLIANCE })
    const evil = await sealedScene(server)
    const [, ...files] = [...evil.versions.keys()].filter((key) => !/^(blobs|coll)/.test(key))
    for (const key of files) await scene.attacker.overwrite(key, await evil.attacker.read(key))
    const found = await problemsOf(scene.store, scene.target)
    for (const key of files) {
      if (key.endsWith('.proof')) expect(found).toContain(`UNTRUSTED ${key}`)
    }
    const codes = new Set(found.map((problem) => problem.split(' ')[0]))
    expect(codes).toEqual(new Set(['UNTRUSTED', 'AUDIT']))
    await arrives(scene)
  })

  it('seals of the same site from another prefix, and its store file: named', async () => {
    const scene = await sealedScene(server, { retain: COMPLIANCE })
    const other = await placeAt(server)
    await addRows(scene.store, 'other', 2)
    await push(scene.store, other)
    const stolen = new Attacker(server, other)
    const keys = (await versionsOf(other, 'seals/')).map(({ key }) => key)
    for (const key of [...keys, 'akidb.json']) {
      await scene.attacker.overwrite(key, await stolen.read(key))
    }
    const [proof] = keys.filter((key) => key.endsWith('.proof'))
    expect(await problemsOf(scene.store, scene.target)).toEqual([
      'SHADOWED akidb.json',
      `UNTRUSTED ${proof}`,
    ])
    const reader = await readerOf(scene.store)
    expect((await pull(reader, scene.target)).collections).toMatchObject([{ inserted: 15 }])
  })

  it('proofs of other entries, cut ones, and records of the future: named', async () => {
    const scene = await sealedScene(server, { retain: COMPLIANCE })
    const { attacker, versions, store, target } = scene
    const [proofKey = ''] = [...versions.keys()].filter((key) => key.endsWith('.proof'))
    const proof = await attacker.read(proofKey)
    const record = Buffer.from('{"format":"akidb-seal/9"}\n')
    const future = createHash('sha256').update(record).digest('hex')
    const planted = [
      [`seals/${'0'.repeat(64)}.proof`, proof],
      [`seals/${'1'.repeat(64)}.proof`, proof.subarray(0, proof.length >> 1)],
      [`seals/${'2'.repeat(64)}.proof`, Buffer.alloc(0)],
      [`seals/${future}.proof`, proof],
    ] as const
    for (const [key, bytes] of planted) await attacker.overwrite(key, bytes)
    await attacker.overwrite(`seals/${future}.jsonl`, record)
    const expected = planted.map(([key]) => `UNTRUSTED ${key}`)
    expect(await problemsOf(store, target)).toEqual(expected.sort())
    await arrives(scene)
    await push(store, target, { retain: { ...COMPLIANCE, forMs: 2 * COMPLIANCE.forMs } })
  })

  it('objects that nobody can read: named, and the others are read', async () => {
    const scene = await sealedScene(server, { retain: COMPLIANCE })
    const { attacker, versions, store } = scene
    const planted = `seals/${'0'.repeat(64)}.proof`
    await attacker.overwrite(planted, Buffer.from('encrypted with a key of its own'))
    const [blob = ''] = [...versions.keys()].filter((key) => key.startsWith('blobs/'))
    // As a server answers for an object that is encrypted under a key which the client must give.
    proxy.onRequest = ({ path, method }) =>
      path.endsWith(planted) || (method === 'GET' && path.endsWith(blob))
        ? { kind: 'status', status: 400, code: 'InvalidRequest' }
        : undefined
    const target = await placeAt(through, scene.target.url)
    expect(await problemsOf(store, target)).toEqual([`ALTERED ${blob}`, `UNTRUSTED ${planted}`])
    const reader = await readerOf(store)
    const warned: string[] = []
    Object.assign(reader.environment, {
      warn: ({ code }: { readonly code: string }) => void warned.push(code),
    })
    proxy.onRequest = ({ path }) =>
      path.endsWith(planted) ? { kind: 'status', status: 400, code: 'InvalidRequest' } : undefined
    await pull(reader, target)
    expect(await rootOf(reader)).toBe(await rootOf(store))
    expect(warned).toEqual(['UNTRUSTED_SEALS'])
  })

  it('objects of names that are none of ours: nobody stumbles over them', async () => {
    const scene = await sealedScene(server, { retain: COMPLIANCE })
    const { attacker, store, target, versions } = scene
    const [logId = ''] = [...versions.keys()].flatMap(
      (key) => /audit\/(\w{64})/.exec(key)?.[1] ?? [],
    )
    const names = [
      'seals/a b.proof',
      'seals/ä&<€>😀"\'.jsonl',
      'blobs/0/%2e%2e+x',
      'collections/…/x',
      `audit/${logId}/checkpoint/99999-${'0'.repeat(64)}`,
      `audit/${logId}/pieces/${'0'.repeat(20)}-${'9'.repeat(20)}`,
      'akidb.json.bak',
    ]
    for (const key of names) await attacker.overwrite(key, Buffer.from('junk'))
    expect((await verify(store, target)).problems).toEqual([])
    const { orphans } = await sealedStatus(target, await store.environment.keys.trusted())
    expect(orphans.objects).toBe(0)
    await addRows(store, 'later', 2)
    await push(store, target, { retain: { ...COMPLIANCE, forMs: 2 * COMPLIANCE.forMs } })
    await arrives(scene)
    const keys = await store.environment.keys.trusted()
    expect((await verifyBucketLogs(target, keys, {})).ok).toBe(true)
  })
})
