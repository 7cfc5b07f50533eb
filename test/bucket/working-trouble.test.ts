import { cp, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { openKeys } from '../../src/db/open/state-keys.ts'
import { createWriterPin } from '../../src/db/states/pins.ts'
import {
  doctor,
  exportBundle,
  initStore,
  openStore,
  push,
  trustKey,
  verifyBundle,
  wormStatus,
  wormVerify,
  wormVerifyAudit,
} from '../../src/index.ts'
import { describeMinio } from '../support/minio.ts'
import { addUser } from '../support/minio-admin.ts'
import { minioScene } from '../support/minio-scene.ts'
import { accessTo, openBucket } from '../support/s3.ts'
import { tempFolder } from '../support/temp-store.ts'
import { newMachine, newPlace, record, twoMachines } from './machines.ts'

describeMinio('the operator of a working store in a bucket', () => {
  const { server, proxy } = minioScene({ plain: ['plain'], locked: ['evidence'] })

  const keysAt = async (url: string, prefix = ''): Promise<string[]> => {
    const target = await openBucket(url, accessTo(server))
    try {
      return (await Array.fromAsync(target.list(prefix))).map(({ key }) => key)
    } finally {
      await target.close()
    }
  }

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
    const stateHome = await tempFolder()
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

  it('reads with credentials that may do no more, and is refused all else', async () => {
    const url = newPlace('evidence')
    const writer = await newMachine(server, url)
    const rows = await writer.open()
    await (await rows.createCollection('docs', { dimension: 4 })).upsert([record('one')])
    await rows.close()
    const keysBefore = await keysAt(url)
    const reading = await addUser(server, 'reader', ['read-policy'])
    const stateHome = await tempFolder()
    const at = { url, stateHome, s3: accessTo({ ...server, ...reading, url: server.url }) }
    const refused = { code: 'AUTH', exitCode: 23, hint: expect.stringContaining('AWS_ACCESS_KEY') }
    const store = await openStore({ ...at, mode: 'read' })
    onTestFinished(() => store.close())
    const docs = await store.collection('docs')
    expect((await docs.search({ vector: record('one').vector, k: 1 })).hits).toHaveLength(1)
    // What it trusts is its own affair, and its audit log's.
    const pem = join(stateHome, 'site.pem')
    await writeFile(pem, await openKeys(writer.stateFolder).exportPublic('default'))
    await trustKey({ ...at, input: pem })
    expect((await store.check({})).problems).toEqual([])
    expect((await doctor(at)).checks.filter(({ status }) => status !== 'ok')).toMatchObject([
      { name: 'bucket', status: 'fail', fix: refused.hint },
    ])
    await expect(initStore(at)).rejects.toMatchObject(refused)
    const changing = await openStore({ ...at, mode: 'write' }).catch((error: unknown) => error)
    expect(changing).toMatchObject(refused)
    expect(await keysAt(url)).toEqual(keysBefore)
  })

  it('stops a command: its pins go, and soon, also where the server does not answer', async () => {
    for (const isSilent of [false, true]) {
      const stop = new AbortController()
      const s3 = { endpoint: proxy.url, signal: stop.signal }
      const machine = await newMachine(server, newPlace(), s3)
      const store = await machine.open()
      const pin = createWriterPin(store.environment)
      await pin.add(['0'.repeat(64)])
      expect(await keysAt(machine.at.url, 'pins/')).toHaveLength(1)
      proxy.onRequest = () => (isSilent ? { kind: 'hang' } : undefined)
      stop.abort(new Error('stopped'))
      await expect(store.environment.store.head('akidb.json')).rejects.toThrow('stopped')
      const startMs = performance.now()
      await pin.release()
      expect(performance.now() - startMs).toBeLessThan(limits.s3TidyMs + 1_000)
      expect(await keysAt(machine.at.url, 'pins/')).toHaveLength(isSilent ? 1 : 0)
      proxy.onRequest = () => undefined
      await store.close().catch(() => undefined)
    }
  })

  it('has the keys of such a store where a bundle or what was sealed is verified', async () => {
    const machine = await newMachine(server, newPlace())
    const { at } = machine
    const store = await machine.open()
    await (await store.createCollection('docs', { dimension: 4 })).upsert([record('one')])
    await store.close()
    const target = newPlace('evidence')
    await push({ ...at, target })
    const read = { target, s3: at.s3, store: at, keyFiles: [] }
    expect(await wormVerify(read)).toMatchObject({ ok: true, seals: 1, problems: [] })
    expect(await wormStatus(read)).toMatchObject({ seals: 1, unproven: 0 })
    expect(await wormVerifyAudit(read)).toMatchObject({ ok: true })
    const path = join(at.stateHome, 'docs.akipkg')
    const passphrase = async () => ''
    const output = { path, force: false }
    await exportBundle({ ...at, collections: ['docs'], output, key: 'default', passphrase })
    const check = { input: { path }, keyFiles: [] }
    expect(await verifyBundle({ ...check, store: at })).toMatchObject({ ok: true, problems: [] })
    const nowhere = {
      ...at,
      s3: accessTo(server, { endpoint: 'http://127.0.0.1:1', retryForMs: 0 }),
    }
    const lost = verifyBundle({ ...check, store: nowhere })
    await expect(lost).rejects.toMatchObject({ code: 'UNREACHABLE' })
    const pem = join(at.stateHome, 'own.pem')
    await writeFile(pem, await openKeys(machine.stateFolder).exportPublic('default'))
    const keyed = verifyBundle({ ...check, keyFiles: [pem], store: nowhere })
    expect(await keyed).toMatchObject({ ok: true })
  })
})
