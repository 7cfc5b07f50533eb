import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { initStore, openStore } from '../../src/index.ts'
import { describeMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import { idsOf, ingestRows, recordsOf, testRows } from '../support/records.ts'
import { countRounds } from '../support/rounds.ts'
import { accessTo, openBucket } from '../support/s3.ts'
import { tempFolder } from '../support/temp-store.ts'
import { newMachine, newPlace, record, twoMachines } from './machines.ts'

const CONFLICT = { code: 'CONFLICT' }

describeMinio('a working store in a bucket', () => {
  const { server, proxy, through } = minioScene({ plain: ['plain'], locked: ['locked', 'kept'] })

  const keysAt = async (url: string, prefix = ''): Promise<string[]> => {
    const target = await openBucket(url, accessTo(server))
    try {
      return (await Array.fromAsync(target.versions(prefix))).map(({ key }) => key)
    } finally {
      await target.close()
    }
  }

  it('takes what two machines ingest at the same time, and both see all of it', async () => {
    const machines = await twoMachines(server)
    const stores = await Promise.all(machines.map((machine) => machine.open()))
    await Promise.all(
      stores.flatMap((store, m) =>
        [0, 1, 2].map((i) => ingestRows(store.core('docs'), testRows(`m${m}-${i}-`, 5))),
      ),
    )
    const expected = [0, 1].flatMap((m) =>
      [0, 1, 2].flatMap((i) => testRows(`m${m}-${i}-`, 5).map(({ id }) => id)),
    )
    for (const store of stores) {
      expect(await idsOf(store.core('docs'))).toEqual(expected.sort())
      expect((await store.check({ readData: true })).problems).toEqual([])
    }
  })

  it('gives the same answers as a folder with the same rows', async () => {
    const [a, b] = await twoMachines(server)
    const store = await a.open()
    await ingestRows(store.core('docs'), testRows('r', 50))
    const reader = await b.open('read')
    const query = { vector: Float32Array.from([1, 7, 0.5, -1]), k: 5 }
    const here = await (await store.collection('docs')).search(query)
    const there = await (await reader.collection('docs')).search(query)
    expect(there.hits).toEqual(here.hits)
    expect(there.stateRoot).toBe(here.stateRoot)
    expect(there.hits[0]?.id).toBe('r7')
  })

  it('shows single writes to other machines before they are committed', async () => {
    const [a, b] = await twoMachines(server)
    const store = await a.open()
    const docs = await store.collection('docs')
    await docs.upsert([record('x', 1), record('y', 2)])
    await docs.upsert([record('x', 3)])
    const reader = await b.open('read')
    expect(await recordsOf(reader.core('docs'))).toEqual([
      ['x', '[["n",3]]'],
      ['y', '[["n",2]]'],
    ])
    expect((await reader.core('docs').head()).state.segments).toEqual([])
    await store.close()
    expect((await reader.core('docs').head()).state.segments).toHaveLength(1)
  })

  it('puts writes of the same moment into one object', async () => {
    const [a] = await twoMachines(through)
    const store = await a.open()
    const docs = await store.collection('docs')
    await docs.upsert([record('first')])
    proxy.requests.length = 0
    await Promise.all(Array.from({ length: 100 }, (_, i) => docs.upsert([record(`r${i}`, i)])))
    const puts = proxy.requests.filter(
      ({ method, path }) => method === 'PUT' && path.includes('/log/'),
    )
    expect(puts.length).toBeLessThanOrEqual(3)
    expect(await idsOf(store.core('docs'))).toHaveLength(101)
  })

  it('has one owner of single writes: a newer one stops the one before', async () => {
    const [a, b] = await twoMachines(server)
    const [first, second] = [await a.open(), await b.open()]
    const [one, two] = [await first.collection('docs'), await second.collection('docs')]
    await one.upsert([record('a')])
    await two.upsert([record('b')])
    await expect(one.upsert([record('c')])).rejects.toMatchObject(CONFLICT)
    expect(await idsOf(second.core('docs'))).toEqual(['a', 'b'])
    await second.close()
    await first.close()
    const reader = await a.open('read')
    expect(await idsOf(reader.core('docs'))).toEqual(['a', 'b'])
  })

  it('keeps appends beside a server on another machine, and never stops it', async () => {
    const [a, b] = await twoMachines(server)
    const owner = await a.open()
    const docs = await owner.collection('docs')
    await docs.upsert([record('served', 1)])
    const cron = await b.open()
    await ingestRows(cron.core('docs'), testRows('cron', 3))
    await docs.upsert([record('served-2', 2)])
    await owner.close()
    expect(await idsOf(cron.core('docs'))).toEqual([
      'cron0',
      'cron1',
      'cron2',
      'served',
      'served-2',
    ])
  })

  it('is cleaned by one machine while the other goes on', async () => {
    const [a, b] = await twoMachines(server, newPlace('locked'))
    const [one, two] = [await a.open(), await b.open()]
    for (let i = 0; i < 3; i++) await ingestRows(one.core('docs'), testRows(`a${i}-`, 4))
    const [cleaned] = await Promise.all([
      one.gc({ keepMs: 0 }),
      ingestRows(two.core('docs'), testRows('b', 4)),
    ])
    // All of it is younger than an hour.
    expect(cleaned).toMatchObject({ manifests: 0, blobs: 0 })
    expect(await idsOf(one.core('docs'))).toHaveLength(16)
    expect((await two.check({ readData: true })).problems).toEqual([])
    expect(await keysAt(a.at.url, 'gc/')).toEqual([])
    await one.close()
    await two.close()
    expect(await keysAt(a.at.url, 'pins/')).toEqual([])
  })

  it('is refused where every object would be locked', async () => {
    await server.client.setObjectLockConfig('kept', {
      mode: 'GOVERNANCE',
      unit: 'Days',
      validity: 1,
    })
    await expect(newMachine(server, newPlace('kept'))).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('locks every new object'),
    })
    expect(await keysAt('s3://kept')).toEqual([])
  })

  it('is not changed by a copy of it', async () => {
    const url = newPlace()
    const a = await newMachine(server, url)
    const copy = newPlace()
    const [from, to] = [url.slice('s3://plain/'.length), copy.slice('s3://plain/'.length)]
    for (const key of await keysAt(url)) {
      await server.client.copyObject('plain', `${to}/${key}`, `/plain/${from}/${key}`)
    }
    await expect(openStore({ ...a.at, url: copy, mode: 'write' })).rejects.toMatchObject(CONFLICT)
    await (await openStore({ ...a.at, url: copy, mode: 'read' })).close()
  })

  it('goes on with a new log where the state folder was lost', async () => {
    const [a] = await twoMachines(server)
    const before = await a.open()
    await ingestRows(before.core('docs'), testRows('r', 3))
    await before.close()
    await rm(a.stateFolder, { recursive: true })
    await expect(a.open()).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await initStore(a.at)).toMatchObject({ created: false })
    const store = await a.open()
    await ingestRows(store.core('docs'), testRows('s', 1))
    expect(await idsOf(store.core('docs'))).toEqual(['r0', 'r1', 'r2', 's0'])
    const [first] = await Array.fromAsync((await store.environment.audit()).read({ limit: 1 }))
    expect(first?.act).toBe('continues')
  })

  it('takes few rounds of requests to a first answer', async () => {
    const [a, b] = await twoMachines(through)
    const store = await a.open()
    await ingestRows(store.core('docs'), testRows('r', 200))
    await store.close()
    proxy.requests.length = 0
    const counted = countRounds(proxy)
    const reader = await b.open('read')
    await (await reader.collection('docs')).search({ vector: record('q', 3).vector, k: 10 })
    counted.stop()
    expect(counted.rounds.length, `rounds ${counted.rounds}`).toBeLessThanOrEqual(4)
    await reader.close()
    const cached = await readdir(join(b.stateFolder, 'cache'), { recursive: true })
    expect(cached.length).toBeGreaterThan(0)
  })

  it('leaves the server of another machine alone, whoever asks for its rows', async () => {
    const [a, b] = await twoMachines(server)
    const [owner, other] = [await a.open(), await b.open()]
    const docs = await owner.collection('docs')
    await docs.upsert([record('x', 1)])
    // As `serve` does at its start.
    await other.own()
    const there = await other.collection('docs')
    const page = await there.scroll({})
    expect(page.records).toEqual([])
    await docs.upsert([record('y', 2)])
    await owner.close()
    expect((await there.scroll({})).records.map(({ id }) => id)).toEqual(['x', 'y'])
  })

  it('refuses to delete by filter what it cannot see', async () => {
    const [a, b] = await twoMachines(server)
    const owner = await a.open()
    const docs = await owner.collection('docs')
    await docs.upsert([record('x', 1)])
    const other = await openStore({ ...b.at, mode: 'write', lockWaitMs: 0 })
    const there = await other.collection('docs')
    const filter = { must: [{ key: 'n', range: { gte: 1 } }] }
    await expect(there.delete({ filter })).rejects.toMatchObject({ code: 'LOCKED' })
    await owner.close()
    expect(await there.delete({ filter })).toEqual({ deleted: 1 })
    await other.close()
  })

  it('vouches for the log of a machine that searched before it came', async () => {
    const [a] = await twoMachines(server)
    const stateHome = await tempFolder()
    const early = { ...a.at, stateHome }
    const reader = await openStore({ ...early, mode: 'read' })
    await (await reader.collection('docs')).search({ vector: record('q').vector, k: 1 })
    await reader.close()
    const { keys } = await initStore(early)
    const logId = keys.find(({ name }) => name === 'log')?.keyId
    expect(await keysAt(a.at.url, `audit/${logId}/`)).toContain(`audit/${logId}/key.dsse`)
  })
})
