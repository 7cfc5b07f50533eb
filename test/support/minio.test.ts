import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { Client, RETENTION_MODES } from 'minio'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { startFaultProxy } from './fault-proxy.ts'
import { createBucket, describeMinio, type MinioServer, startMinio } from './minio.ts'
import { tempFolder } from './temp-store.ts'

const DAY_MS = 86_400_000

describeMinio('a MinIO server of a test', () => {
  let server: MinioServer

  beforeAll(async () => {
    server = await startMinio()
    await createBucket(server, 'locked', { objectLock: true })
    await createBucket(server, 'plain', { objectLock: false })
  })

  afterAll(() => server?.stop())

  const text = async (key: string): Promise<string> =>
    (await buffer(await server.client.getObject('plain', key))).toString()

  it('has its data after it was killed and started again', async () => {
    await server.client.putObject('plain', 'a/b c.txt', 'hello')
    const { pid } = server
    await server.kill()
    await server.kill()
    await expect(text('a/b c.txt')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await server.restart()
    expect(server.pid).not.toBe(pid)
    expect(await text('a/b c.txt')).toBe('hello')
  })

  it('refuses to delete a locked version, and keeps it beneath a delete marker', async () => {
    const { client } = server
    const { versionId } = await client.putObject('locked', 'k', 'kept')
    if (versionId === null) return expect.fail('no version')
    const retainUntilDate = new Date(Date.now() + DAY_MS).toISOString()
    const mode = RETENTION_MODES.COMPLIANCE
    await client.putObjectRetention('locked', 'k', { mode, retainUntilDate, versionId })
    // Amazon's code is AccessDenied.
    await expect(client.removeObject('locked', 'k', { versionId })).rejects.toMatchObject({
      code: 'InvalidRequest',
      message: expect.stringContaining('WORM protected'),
    })
    await client.removeObject('locked', 'k')
    const bytes = await buffer(await client.getObject('locked', 'k', { versionId }))
    expect(bytes.toString()).toBe('kept')
  })

  it('encrypts with the key of its key store', async () => {
    await server.client.putObject('plain', 'secret', Buffer.from('x'), 1, {
      'X-Amz-Server-Side-Encryption': 'aws:kms',
      'X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id': server.kmsKey,
    })
    const { metaData } = await server.client.statObject('plain', 'secret')
    expect(metaData['x-amz-server-side-encryption-aws-kms-key-id']).toMatch(/site-a$/)
  })

  it('takes signed requests through the proxy, which hides what a list should show', async () => {
    const proxy = await startFaultProxy(server.port)
    try {
      const keys = ['list/a', 'list/b+ü <&>"\'.txt', 'list/c']
      for (const key of keys) await server.client.putObject('plain', key, key)
      const { accessKey, secretKey } = server
      const endPoint = { endPoint: '127.0.0.1', port: proxy.port, useSSL: false }
      const client = new Client({ ...endPoint, accessKey, secretKey })
      const listed = async (): Promise<unknown[]> => {
        const found: unknown[] = []
        for await (const item of client.listObjectsV2('plain', 'list/')) found.push(item.name)
        return found
      }
      expect(await listed()).toEqual(keys)
      proxy.onRequest = () => ({ kind: 'stale-list', drop: (key) => key === keys[1] })
      expect(await listed()).toEqual([keys[0], keys[2]])
    } finally {
      await proxy.close()
    }
  })
})

describeMinio('startMinio', () => {
  it('leaves the data in a folder that it was given', async () => {
    const folder = join(await tempFolder(), 'data')
    const server = await startMinio({ folder, kms: false })
    await createBucket(server, 'bucket', { objectLock: false })
    await server.stop()
    expect(existsSync(join(folder, 'bucket'))).toBe(true)
  })

  it('says what the server said where it does not start', async () => {
    const env = { MINIO_ROOT_PASSWORD: 'short' }
    await expect(startMinio({ env })).rejects.toThrow(/ended at its start:.*password/is)
  })

  it('starts a server that dies with its process, even by SIGKILL', async () => {
    const module = new URL('minio.ts', import.meta.url).href
    const script = `const { startMinio } = await import('${module}')
      console.log((await startMinio()).port)
      process.stdin.resume()`
    const env = { ...process.env, TMPDIR: await tempFolder() }
    const stdio: ['pipe', 'pipe', 'inherit'] = ['pipe', 'pipe', 'inherit']
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { env, stdio })
    const [line] = await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])
    expect(await listens(Number(line))).toBe(true)
    child.kill('SIGKILL')
    await vi.waitFor(async () => expect(await listens(Number(line))).toBe(false), {
      timeout: 20_000,
    })
  })
})

const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
