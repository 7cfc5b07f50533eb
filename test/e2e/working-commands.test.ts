import { cpSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadEngine } from '../../src/cli/load-engine.ts'
import { openStore } from '../../src/index.ts'
import { type Ran, run } from '../cli/support/run.ts'
import {
  type Authority,
  type CertificateFiles,
  describeTls,
  makeAuthority,
} from '../support/certificates.ts'
import { createBucket, describeMinio } from '../support/minio.ts'
import { minioScene } from '../support/minio-scene.ts'
import { accessTo, startTlsFront } from '../support/s3.ts'
import { lines, suiteFolder } from '../support/temp-store.ts'

const URL = 's3://plain/site'

describeTls('over TLS with client certificates', () => {
  describeMinio('commands on a working store in a bucket', () => {
    const { server } = minioScene({ plain: ['plain'] })
    let front: { readonly url: string; close(): Promise<void> }
    let authority: Authority
    let client: CertificateFiles
    const folder = suiteFolder()
    const at = (name: string): string => join(folder, name)

    beforeAll(async () => {
      authority = makeAuthority()
      client = authority.issue('client')
      front = await startTlsFront(authority, server.port, { wantsClients: true })
      writeFileSync(at('rows.jsonl'), lines('r', 5))
      for (const machine of ['a', 'b']) {
        const made = await akidb(machine, URL, 'init')
        expect(made.code, made.stderr).toBe(0)
      }
      const ingested = await akidb('a', URL, 'ingest', 'docs', at('rows.jsonl'))
      expect(ingested.code, ingested.stderr).toBe(0)
    })
    afterAll(async () => {
      await front?.close()
      authority?.remove()
    })

    const shown = () => ['--s3-client-cert', client.certFile, '--s3-client-key', client.keyFile]

    /** On a machine that has a home of its own. */
    const bare = async (machine: string, store: string, ...argv: string[]): Promise<Ran> =>
      await run(['--store', store, ...argv], {
        engine: await loadEngine(),
        env: {
          ...{ HOME: at(machine), PATH: process.env.PATH ?? '', NO_COLOR: '1' },
          AKIDB_S3_ENDPOINT: front.url,
          AKIDB_S3_CA: authority.certFile,
          AKIDB_RETRY_FOR: '1s',
          AWS_ACCESS_KEY_ID: server.accessKey,
          AWS_SECRET_ACCESS_KEY: server.secretKey,
        },
        cwd: folder,
        home: at(machine),
      })
    const akidb = (machine: string, store: string, ...argv: string[]): Promise<Ran> =>
      bare(machine, store, ...shown(), ...argv)

    const stateOf = (machine: string, id: string): string =>
      at(`${machine}/.local/state/akidb/${id}`)
    const storeIds = (machine: string): string[] => readdirSync(at(`${machine}/.local/state/akidb`))

    const keysBelow = async (prefix: string): Promise<string[]> => {
      const found: string[] = []
      for await (const { name } of server.client.listObjectsV2('plain', prefix, true)) {
        if (name !== undefined) found.push(name)
      }
      return found
    }
    const copyTo = async (to: string): Promise<string> => {
      for (const key of await keysBelow('site/')) {
        await server.client.copyObject('plain', key.replace('site/', `${to}/`), `/plain/${key}`)
      }
      return `s3://plain/${to}`
    }

    const trust = async (one: string, other: string): Promise<void> => {
      writeFileSync(at('other.pem'), (await akidb(other, URL, 'keys', 'export', 'default')).stdout)
      const trusted = await akidb(one, URL, 'keys', 'trust', at('other.pem'), '--yes')
      expect(trusted.code, trusted.stderr).toBe(0)
    }

    it('need the certificate that the server wants', async () => {
      const refused = await bare('a', URL, 'list')
      expect([23, 25], refused.stderr).toContain(refused.code)
      expect((await akidb('a', URL, 'list')).stdout).toContain('docs')
    })

    it('take the size of the cache', async () => {
      const ran = await akidb('a', URL, '--s3-cache', '96MiB', 'status', '--json')
      expect(ran.code, ran.stderr).toBe(0)
      expect(JSON.parse(ran.stdout).tiers.cache.budget).toBe(96 * 2 ** 20)
    })

    it('find what doctor looks at in order, and a bucket that locks everything not', async () => {
      const ran = await akidb('a', URL, 'doctor', '--json')
      expect(ran.code, ran.stderr + ran.stdout).toBe(0)
      expect(ran.stdout).toContain('conditional writes and consistency are as they must be')
      expect(await keysBelow('site/probe-')).toEqual([])
      await createBucket(server, 'locking', { objectLock: true })
      await server.client.setObjectLockConfig('locking', {
        ...{ mode: 'GOVERNANCE', unit: 'Days', validity: 1 },
      })
      for (const key of await keysBelow('site/')) {
        await server.client.copyObject('locking', key, `/plain/${key}`)
      }
      const locking = await akidb('a', 's3://locking/site', 'doctor')
      expect(locking.code).not.toBe(0)
      expect(locking.stdout + locking.stderr).toContain('locks every new object')
    })

    it('trust another machine by its key, and miss its log', async () => {
      expect((await akidb('b', URL, 'audit', 'verify')).code).toBe(24)
      await trust('b', 'a')
      for (const command of [['audit', 'verify'], ['check']]) {
        const ran = await akidb('b', URL, ...command)
        expect(ran.code, ran.stderr).toBe(0)
      }
      const url = await copyTo('cut')
      await server.client.removeObjects('plain', await keysBelow('cut/audit/'))
      const ran = await akidb('b', url, 'audit', 'verify')
      expect(ran.code).toBe(24)
      expect(ran.stdout + ran.stderr).toContain('TRUNCATED')
    })

    it('refuse a copy until it is adopted, and one beside the original its state', async () => {
      const [id = ''] = storeIds('a')
      const url = await copyTo('copy')
      const ingest = (store: string, ...more: string[]) =>
        akidb('a', store, ...more, 'ingest', 'docs', at('rows.jsonl'))
      expect((await ingest(url)).code).toBe(22)
      const beside = await akidb('a', url, 'adopt', '--copy')
      expect(beside.code, beside.stderr).toBe(2)
      expect(beside.stderr).toContain('--state')
      await trust('a', 'b')
      cpSync(stateOf('a', id), at('copied'), { recursive: true })
      const state = ['--state', at('copied')]
      const adopted = await akidb('a', url, ...state, 'adopt', '--copy')
      expect(adopted.code, adopted.stderr).toBe(0)
      for (const ran of [await ingest(url, ...state), await ingest(URL)]) {
        expect(ran.code, ran.stderr).toBe(0)
      }
      const verified = await akidb('a', url, ...state, 'audit', 'verify')
      expect(verified.code, verified.stderr).toBe(0)
    })

    it('refuse the state folder of another store', async () => {
      const [id = ''] = storeIds('b')
      const url = 's3://plain/other'
      expect((await akidb('b', url, 'init')).code).toBe(0)
      const ran = await akidb('b', url, '--state', stateOf('b', id), 'gc')
      expect(ran.code, ran.stderr).toBe(22)
      expect(ran.stderr).toContain('belongs to another store')
    })

    describe('in one process', () => {
      it('hand deadlines down to the server', async () => {
        const s3 = accessTo(server)
        const store = await openStore({
          url: URL,
          s3,
          stateHome: at('a/.local/state'),
          mode: 'write',
        })
        const bucket = store.environment.store
        const key = `pins/${'0'.repeat(16)}.json`
        await bucket.put(key, Buffer.from('{}'))
        const late = { notAfterMs: Date.now() - 1 }
        const tooLate = { code: 'CONFLICT', details: { key: `site/${key}` } }
        await expect(bucket.put(key, Buffer.from('{}'), late)).rejects.toMatchObject(tooLate)
        await expect(bucket.delete(key, late)).rejects.toMatchObject(tooLate)
        expect(await bucket.delete(key, { notAfterMs: Date.now() + 60_000 })).toBe(true)
        await store.close()
      })
    })
  })
})
