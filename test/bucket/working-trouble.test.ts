import { cp, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { openKeys } from '../../src/db/open/state-keys.ts'
import { doctor, initStore, openStore, trustKey } from '../../src/index.ts'
import { createBucket, describeMinio, type MinioServer, startMinio } from '../support/minio.ts'
import { accessTo } from '../support/s3.ts'
import { newMachine, newPlace, record, twoMachines } from './machines.ts'

describeMinio('the operator of a working store in a bucket', () => {
  let server: MinioServer
  beforeAll(async () => {
    server = await startMinio()
    for (const bucket of ['plain', 'evidence']) {
      await createBucket(server, bucket, { objectLock: bucket !== 'plain' })
    }
  })
  afterAll(() => server.stop())

  it('is told of an older state folder, and gets out of it', async () => {
    const machine = await newMachine(server, newPlace())
    const { at, stateFolder } = machine
    const first = await machine.open()
    await first.createCollection('docs', { dimension: 4 })
    await first.close()
    const stateCheck = async () =>
      (await doctor(at)).checks.find(({ name }) => name === 'state folder')
    expect(await stateCheck()).toMatchObject({ status: 'ok' })
    const backup = join(at.stateHome, 'backup')
    await cp(stateFolder, backup, { recursive: true })
    const second = await machine.open()
    await (await second.collection('docs')).snapshots.create('friday')
    await second.close()
    await rm(stateFolder, { recursive: true })
    await rename(backup, stateFolder)
    const wayOut = expect.stringContaining('move it away, run akidb init')
    const found = await stateCheck()
    expect(found).toMatchObject({ status: 'fail', fix: wayOut })
    expect(found?.message).toContain(`${stateFolder} is an older copy`)
    const opened = machine.open()
    await expect(opened).rejects.toMatchObject({ code: 'AUDIT_BROKEN', hint: wayOut })

    const away = join(at.stateHome, 'away')
    await rename(stateFolder, away)
    await initStore(at)
    const pem = join(at.stateHome, 'former.pem')
    await writeFile(pem, await openKeys(away).exportPublic('default'))
    await trustKey({ ...at, input: pem })
    const again = await machine.open()
    await (await again.collection('docs')).snapshots.create('monday')
    expect((await again.check({})).problems).toEqual([])
    await again.close()
    expect(await stateCheck()).toMatchObject({ status: 'ok' })
  })

  it('is told by status who takes single writes on another machine', async () => {
    const [a, b] = await twoMachines(server)
    const [atA, atB] = [await a.open(), await b.open('read')]
    const writerAt = async (store: typeof atA) =>
      ((await store.status()).collections as { writer?: object }[])[0]?.writer
    expect(await writerAt(atB)).toBeUndefined()
    await (await atA.collection('docs')).upsert([record('one')])
    const writer = { host: expect.any(String), command: 'akidb' }
    expect(await writerAt(atB)).toEqual({ ...writer, here: false })
    expect(await writerAt(atA)).toEqual({ ...writer, here: true })
  })

  it('is told both ways to make a store where there is none', async () => {
    const stateHome = await mkdtemp(join(tmpdir(), 'akidb-none-'))
    onTestFinished(() => rm(stateHome, { recursive: true, force: true }))
    for (const mode of ['read', 'write'] as const) {
      const url = newPlace()
      const opened = openStore({ url, mode, s3: accessTo(server), stateHome })
      await expect(opened).rejects.toMatchObject({
        code: 'NOT_FOUND',
        message: `there is no akidb store in ${url}`,
        hint: expect.stringMatching(/akidb init --store s3:.*akidb push s3:/),
      })
    }
  })
})
