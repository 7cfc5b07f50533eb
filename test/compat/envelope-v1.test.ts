import { spawnSync } from 'node:child_process'
import { createDecipheriv, hkdfSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openBundleBytes } from '../../src/bundle/bundle-envelope.ts'
import { wrappingBytes } from '../../src/storage/envelope/envelope-head.ts'
import { type EnvelopeOpening, openEnvelope } from '../../src/storage/envelope/kes-envelope.ts'
import { pieces } from '../bundle/support/fixture.ts'
import { memoryKeys, seededBytes } from '../support/memory-keys.ts'
import { ROOT } from '../support/sources.ts'
import { tempFolder } from '../support/temp-store.ts'

describe('the golden envelope of version 1', () => {
  const folder = join(ROOT, 'fixtures', 'envelope-v1')
  const bytes = readFileSync(join(folder, 'bundle.envelope'))
  const expected: {
    keyId: string
    context: string
    sealed: string
    dataKey: string
    text: string
  } = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8'))

  it('opens, and asks the key server for what it asked then', async () => {
    const server = {
      ...memoryKeys(seededBytes(1)),
      decryptDataKey: async (
        id: string,
        asked: { ciphertext: Uint8Array; context: Uint8Array },
      ) => {
        expect(id).toBe(expected.keyId)
        expect(Buffer.from(asked.ciphertext).toString('hex')).toBe(expected.sealed)
        expect(Buffer.from(asked.context).toString('hex')).toBe(expected.context)
        return new Uint8Array(Buffer.from(expected.dataKey, 'hex'))
      },
    }
    const unseal = (opening: EnvelopeOpening) => openEnvelope(server, opening)
    const found = openBundleBytes(pieces(bytes, 11), { name: 'x', unseal })
    const text = Buffer.concat(await Array.fromAsync(found))
    expect(text.toString()).toBe(expected.text)
  })

  it('is still written so', async () => {
    const again = await tempFolder()
    const script = join(ROOT, 'scripts', 'make-golden-envelope.mjs')
    const ran = spawnSync(process.execPath, [script, again], { encoding: 'utf8' })
    expect(ran.status, ran.stderr).toBe(0)
    expect(readFileSync(join(again, 'bundle.envelope')).equals(bytes)).toBe(true)
  })

  it('opens as docs/format.md says, with node:crypto alone', () => {
    const head = bytes.subarray(0, 112)
    const [chunkBytes, id, commitment] = [
      head.readUInt32LE(8),
      head.subarray(16, 48),
      head.subarray(80),
    ]
    const end = 112 + wrappingBytes(bytes.subarray(112), 'x')
    const [wrappedAt, tagAt] = [end - 48, end - 16]
    const gcm = (key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, sealed: Buffer): Buffer => {
      const decipher = createDecipheriv('aes-256-gcm', key, nonce).setAAD(aad)
      decipher.setAuthTag(sealed.subarray(-16))
      return Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()])
    }
    expect(tagAt - wrappedAt).toBe(32)
    const dataKey = Buffer.from(expected.dataKey, 'hex')
    const bound = bytes.subarray(0, wrappedAt)
    const payloadKey = gcm(dataKey, Buffer.alloc(12), bound, bytes.subarray(wrappedAt, end))
    const info = Buffer.concat([Buffer.from('akidb-envelope/1'), head.subarray(0, 80)])
    const okm = Buffer.from(hkdfSync('sha256', payloadKey, id, info, 71))
    expect(okm.subarray(0, 32).equals(commitment)).toBe(true)
    let text = ''
    const step = chunkBytes + 16
    for (let at = end, i = 0; at < bytes.length; at += step, i++) {
      const nonce = Buffer.concat([okm.subarray(64), Buffer.alloc(5)])
      nonce.writeUInt32BE(i, 7)
      nonce[11] = at + step >= bytes.length ? 1 : 0
      text += gcm(okm.subarray(32, 64), nonce, head, bytes.subarray(at, at + step)).toString()
    }
    expect(text).toBe(expected.text)
  })
})
