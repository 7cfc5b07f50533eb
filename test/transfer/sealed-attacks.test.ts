import { describe, expect, it } from 'vitest'
import { changeLocks } from '../../src/transfer/worm/change-locks.ts'
import { retention } from '../support/attacker.ts'
import { describeMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import { arrives, onEach, type Scene, sealedScene, tellsTimes } from './sealed-scene.ts'
import {
  addRows,
  COMPLIANCE,
  GOVERNANCE,
  inventory,
  problemsOf,
  pull,
  push,
  readerOf,
  verify,
  versionsOf,
} from './sealed-sites.ts'

describeMinio('root of the server, against a sealed store', () => {
  const { server } = minioScene({ locked: ['evidence'] })

  describe('under COMPLIANCE', () => {
    it('cannot delete, replace or unlock what was sealed', async () => {
      const scene = await sealedScene(server, { retain: COMPLIANCE, legalHold: true })
      const { attacker, target, store, versions } = scene
      const before = await inventory(target)
      const soon = new Date(Date.now() + 86_400_000)
      for (const [key, id] of versions) {
        const query = `versionId=${id}`
        await expect(attacker.destroy(key, id), key).rejects.toThrow(/WORM/)
        const wishes = ['', retention('COMPLIANCE', soon), retention('GOVERNANCE', soon)]
        for (const wish of wishes) {
          await expect(attacker.retain(key, id, wish), key).rejects.toThrow(/WORM/)
        }
        const replicates = { 'x-minio-source-replication-request': 'true' }
        await expect(
          attacker.send({ method: 'PUT', key, query, headers: replicates, body: 'x' }),
          key,
        ).rejects.toThrow(/WORM/)
      }
      const off = '<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>'
      await expect(
        attacker.send({ method: 'PUT', query: 'versioning=', body: off }),
      ).rejects.toThrow(/Object Lock/)
      await expect(attacker.send({ method: 'DELETE' })).rejects.toThrow(/not empty/)
      expect(await inventory(target)).toEqual(before)
      expect(await problemsOf(store, target)).toEqual([])
    })

    it('hides every object under a delete marker: named, and it arrives', async () => {
      const scene = await sealedScene(server, { retain: COMPLIANCE })
      for (const key of scene.versions.keys()) await scene.attacker.hide(key)
      expect(await problemsOf(scene.store, scene.target)).toEqual(onEach('DELETED', scene))
      await tellsTimes(scene)
      await arrives(scene)
      // A push goes on as if nothing lay there, and what it sends arrives.
      await addRows(scene.store, 'later', 3)
      await push(scene.store, scene.target, { retain: COMPLIANCE })
      expect(await problemsOf(scene.store, scene.target)).toEqual(onEach('DELETED', scene))
      await arrives(scene)
    })

    it('puts other bytes above every object: named, and it arrives', async () => {
      const scene = await sealedScene(server, { retain: COMPLIANCE })
      for (const key of scene.versions.keys()) {
        await scene.attacker.overwrite(key, Buffer.from('{"forged":true}\n'))
      }
      expect(await problemsOf(scene.store, scene.target)).toEqual(onEach('SHADOWED', scene))
      await tellsTimes(scene)
      await arrives(scene)
    })

    it('creates objects anew under delete markers: named, and it arrives', async () => {
      const scene = await sealedScene(server, { retain: COMPLIANCE })
      const body = 'forged'
      for (const key of scene.versions.keys()) {
        const put = { method: 'PUT', key, body, headers: { 'if-none-match': '*' } } as const
        await expect(scene.attacker.send(put)).rejects.toThrow(/pre-?condition/i)
        await scene.attacker.hide(key)
        await scene.attacker.send(put)
      }
      const expected = [...onEach('DELETED', scene), ...onEach('SHADOWED', scene)].sort()
      expect(await problemsOf(scene.store, scene.target)).toEqual(expected)
      await arrives(scene)
    })

    it('plants versions that look older than what was sealed: named, and it arrives', async () => {
      const scene = await sealedScene(server, { retain: COMPLIANCE })
      const file = { format: 'akidb-store/1', id: 'ab'.repeat(16), kind: 'sealed' }
      const forged = JSON.stringify({ ...file, createdAt: '2020-01-01T00:00:00.000Z' })
      for (const key of scene.versions.keys()) {
        const body = key === 'akidb.json' ? forged : 'forged'
        await scene.attacker.backdate(key, Buffer.from(body))
      }
      expect(await problemsOf(scene.store, scene.target)).toEqual(onEach('SHADOWED', scene))
      await tellsTimes(scene)
      await arrives(scene)
      const longer = { mode: 'COMPLIANCE', forMs: 2 * COMPLIANCE.forMs } as const
      await push(scene.store, scene.target, { retain: longer })
      for (const [key, id] of scene.versions) {
        const info = await scene.target.headVersion(key, id)
        expect(info?.retention?.untilMs, key).toBeGreaterThan(Date.now() + COMPLIANCE.forMs * 1.5)
      }
    })

    it('puts the contents of objects in each other’s places: named, and it arrives', async () => {
      const scene = await sealedScene(server, { retain: COMPLIANCE })
      const { attacker, versions } = scene
      const kinds = ['/pieces/', '.proof', '.jsonl', '/checkpoint/', 'blobs/', 'manifests/']
      const swapped: string[] = []
      for (const kind of kinds) {
        const [one = '', other = ''] = [...versions.keys()].filter((key) => key.includes(kind))
        const [first, second] = [await attacker.read(one), await attacker.read(other)]
        expect(first.equals(second)).toBe(false)
        await attacker.overwrite(one, second)
        await attacker.overwrite(other, first)
        swapped.push(`SHADOWED ${one}`, `SHADOWED ${other}`)
      }
      expect(await problemsOf(scene.store, scene.target)).toEqual(swapped.sort())
      await arrives(scene)
    })

    it('floods a key with versions: the sealed one is found among them', async () => {
      const scene = await sealedScene(server, { retain: COMPLIANCE })
      const keys = [...scene.versions.keys()].filter((key) => /proof|akidb|manifests/.test(key))
      for (const key of keys) {
        for (let i = 0; i < 20; i++) await scene.attacker.overwrite(key, Buffer.from(`${i}`))
      }
      const found = await problemsOf(scene.store, scene.target)
      expect(new Set(found)).toEqual(new Set(keys.map((key) => `SHADOWED ${key}`)))
      await arrives(scene)
    })
  })

  type Pair = readonly [string, string]

  describe('under GOVERNANCE', () => {
    it('shortens, unlocks and deletes data: named; its witness stays', async () => {
      const scene = await sealedScene(server, { retain: GOVERNANCE })
      const { attacker, store, target, versions } = scene
      const keys = [...versions].filter(([key]) => /^(blobs|collections)/.test(key))
      const [[first, a], [second, b], [third, c]] = keys as unknown as [Pair, Pair, Pair]
      await attacker.retain(first, a, retention('GOVERNANCE', new Date(Date.now() + 86_400_000)))
      await attacker.retain(second, b, '')
      await attacker.destroy(third, c)
      const expected = [`SHORTENED ${first}`, `UNLOCKED ${second}`, `MISSING ${third}`]
      expect(await problemsOf(store, target)).toEqual(expected.sort())
      for (const [key, id] of versions) {
        if (/^(blobs|collections)/.test(key)) continue
        await expect(attacker.destroy(key, id), key).rejects.toThrow(/WORM/)
      }
    })
  })

  it('releases a legal hold: named', async () => {
    const scene = await sealedScene(server)
    const { attacker, store, target, versions } = scene
    await changeLocks(store, target, { act: 'hold', snapshot: 'friday' })
    expect(await problemsOf(store, target)).toEqual([])
    const label = [...versions].filter(([key]) => key.includes('/snapshots/'))
    expect(label.length).toBe(1)
    for (const [key, id] of label) {
      await expect(attacker.destroy(key, id)).rejects.toThrow(/WORM/)
      await attacker.release(key, id)
      expect(await problemsOf(store, target)).toEqual([`RELEASED ${key}`])
    }
  })

  it('releases the hold on what proves a hold: named, and what came later needs none', async () => {
    const { attacker, store, target } = await sealedScene(server)
    await changeLocks(store, target, { act: 'hold', snapshot: 'friday' })
    const held = (await versionsOf(target)).filter(({ key }) => !/^(blobs|collections)/.test(key))
    await addRows(store, 'later', 3)
    await push(store, target, { retain: COMPLIANCE })
    expect(await problemsOf(store, target)).toEqual([])
    for (const { key, versionId } of held) await attacker.release(key, versionId)
    expect(held.length).toBeGreaterThan(8)
    expect(await problemsOf(store, target)).toEqual(held.map(({ key }) => `RELEASED ${key}`).sort())
    await changeLocks(store, target, { act: 'release' })
    expect(await problemsOf(store, target)).toEqual([])
  })

  describe('where nothing is locked', () => {
    const deleted = async (keys: RegExp, count: number): Promise<Scene & { gone: string[] }> => {
      const scene = await sealedScene(server)
      const gone = await scene.attacker.destroyAll(scene.target, keys)
      expect(gone.length).toBe(count)
      return { ...scene, gone }
    }

    it('deletes blobs, manifests and snapshots: named, and nothing else is taken', async () => {
      const { store, target, gone } = await deleted(/^(blobs|collections)/, 5)
      expect(await problemsOf(store, target)).toEqual(gone.map((key) => `MISSING ${key}`).sort())
      const reader = await readerOf(store)
      await expect(pull(reader, target)).rejects.toMatchObject({ code: 'INTEGRITY' })
      expect(await reader.list()).toEqual([])
    })

    it('deletes an object and puts other bytes there: named, and those are not taken', async () => {
      const { store, target, gone, attacker } = await deleted(/^(blobs|collections)/, 5)
      for (const key of gone) await attacker.overwrite(key, Buffer.from('forged'))
      const expected = gone.flatMap((key) => [`MISSING ${key}`, `SHADOWED ${key}`])
      expect(await problemsOf(store, target)).toEqual(expected.sort())
      const reader = await readerOf(store)
      await expect(pull(reader, target)).rejects.toMatchObject({ code: 'INTEGRITY' })
      expect(await reader.list()).toEqual([])
    })

    it('deletes seal records: named', async () => {
      const { store, target, gone } = await deleted(/\.jsonl$/, 2)
      const expected = gone.flatMap((key) => [
        `MISSING ${key}`,
        `UNTRUSTED ${key.replace('jsonl', 'proof')}`,
      ])
      expect(await problemsOf(store, target)).toEqual(expected.sort())
    })

    it('deletes the newest record and its proof, to pass off an older state: named', async () => {
      const scene = await sealedScene(server)
      const { store, target, attacker } = scene
      const seals = (await versionsOf(target, 'seals/')).sort((a, b) => a.modifiedMs - b.modifiedMs)
      const [, , record, proof] = seals
      if (record === undefined || proof === undefined) throw new Error('there are two seals')
      await attacker.destroy(proof.key, proof.versionId)
      await attacker.destroy(record.key, record.versionId)
      expect(await problemsOf(store, target)).toEqual([`MISSING ${record.key}`])
      // The next push tells that the one before had come to its end, and what is sealed is whole.
      await push(store, target)
      expect(await problemsOf(store, target)).toEqual(
        [`MISSING ${record.key}`, `MISSING ${proof.key}`].sort(),
      )
      await arrives(scene)
    })

    it('deletes anchors, the log’s key and entries: named', async () => {
      const scene = await sealedScene(server)
      const { store, target, attacker, versions } = scene
      const [logId = ''] = [...versions.keys()].flatMap(
        (key) => /audit\/(\w{64})/.exec(key)?.[1] ?? [],
      )
      const keys = await attacker.destroyAll(target, /\/checkpoint\/|key\.pem$/)
      expect(keys.length).toBe(3)
      const reader = await readerOf(store)
      const found = await problemsOf(store, target)
      for (const key of keys)
        if (key.includes('checkpoint')) expect(found).toContain(`MISSING ${key}`)
      expect((await verify(reader, target)).ok).toBe(false)
      await attacker.destroyAll(target, /\/pieces\/0{20}-/)
      expect(await problemsOf(store, target)).toContain(`AUDIT audit/${logId}/`)
    })

    it('deletes the store file, or all: nothing is there', async () => {
      const { store, target } = await deleted(/^akidb\.json$/, 1)
      await expect(verify(store, target)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    })
  })
})
