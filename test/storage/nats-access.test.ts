import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readNatsPeer } from '../../src/storage/events/nats-access.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'akidb-nats-access-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const fileOf = (text: string, mode = 0o600): string => {
  const path = join(folder, `${Math.random()}`)
  writeFileSync(path, text, { mode })
  return path
}

describe('the address of a NATS server', () => {
  it('is a host and a port, 4222 where none is named', async () => {
    const urls = { 'nats://a': 'a:4222', 'tls://a:4443': 'a:4443', 'nats://[::1]': '[::1]:4222' }
    for (const [url, hostPort] of Object.entries(urls)) {
      expect(await readNatsPeer({ url }), url).toMatchObject({ hostPort })
    }
    expect(await readNatsPeer({ url: 'nats://a:80' })).toMatchObject({ hostPort: 'a:80' })
    expect((await readNatsPeer({ url: 'nats://a' })).tls).toBe(undefined)
    expect((await readNatsPeer({ url: 'tls://a' })).tls).toEqual({})
    const caFile = fileOf('pem')
    expect((await readNatsPeer({ url: 'nats://a', caFile })).tls).toBeDefined()
  })

  it('holds no password, path or other host, and is shown without', async () => {
    for (const url of ['nats://u:secret@a', 'nats://a/x', 'nats://', 'nats://a?x', 'nats://a:x']) {
      const refused = readNatsPeer({ url })
      await expect(refused, url).rejects.toMatchObject({ code: 'USAGE' })
      await expect(refused).rejects.not.toThrow(/secret/)
    }
  })

  it('is of the loopback where --offline says so', async () => {
    const offline = true
    await expect(readNatsPeer({ url: 'nats://a', offline })).rejects.toMatchObject({
      code: 'USAGE',
    })
    await readNatsPeer({ url: 'nats://127.0.0.1', offline })
  })

  it('comes with a subject and a stream that are names, without wildcards', async () => {
    const url = 'nats://a'
    for (const subject of ['a.*', '>', 'a..b', '.a', 'a b', 'a\r\nSUB x', '', 'x'.repeat(256)]) {
      await expect(readNatsPeer({ url, subject })).rejects.toMatchObject({ code: 'USAGE' })
    }
    for (const stream of ['a.b', '*', 'a b', '']) {
      await expect(readNatsPeer({ url, stream })).rejects.toMatchObject({ code: 'USAGE' })
    }
    const known = { subject: 'a.b-c._d', stream: 'A-1_' }
    expect(await readNatsPeer({ url, ...known })).toMatchObject(known)
  })
})
