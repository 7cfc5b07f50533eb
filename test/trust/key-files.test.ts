import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { systemRandom } from '../../src/storage/system-random.ts'
import { pae, signDetached } from '../../src/trust/dsse.ts'
import { createSigner, keyPairOfSeed, shortKeyId } from '../../src/trust/key-pair.ts'
import { openWithPassphrase, sealWithPassphrase } from '../../src/trust/passphrase-box.ts'
import { encodePrivateKey, parsePrivateKey } from '../../src/trust/private-key-file.ts'
import { encodePublicKey, parsePublicKey } from '../../src/trust/public-key-file.ts'

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const pair = keyPairOfSeed(new Uint8Array(32).fill(5), 'default')
const noOpenssl = spawnSync('openssl', ['version']).status !== 0

describe('public key file', () => {
  it('comes back as it went, with its name', () => {
    const pem = encodePublicKey(pair.key)
    expect(pem.split('\n')[0]).toBe('# name: default')
    expect(parsePublicKey(bytesOf(pem), 'x')).toEqual(pair.key)
    const { keyId, raw } = pair.key
    const nameless = parsePublicKey(bytesOf(encodePublicKey({ keyId, raw })), 'x')
    expect(nameless).toEqual({ keyId, raw })
  })

  it('may have Windows line ends, wrapped base64, comments and blank lines', () => {
    const pem = encodePublicKey(pair.key)
    const body = pem.split('\n')[2] ?? ''
    const wrapped = pem.replace(body, `${body.slice(0, 30)}\n${body.slice(30)}`)
    const variants = [
      pem.replaceAll('\n', '\r\n'),
      wrapped,
      `\n# hello\n${pem}\n\n# end`,
      pem.trim(),
    ]
    for (const text of variants) {
      expect(parsePublicKey(bytesOf(text), 'x').keyId).toBe(pair.key.keyId)
    }
  })

  it('takes no name that is none', () => {
    const pem = encodePublicKey(pair.key).replace('default', '../../etc/passwd')
    expect(parsePublicKey(bytesOf(pem), 'x').name).toBeUndefined()
  })

  it('refuses all else as BAD_INPUT', () => {
    const pem = encodePublicKey(pair.key)
    const variants = [
      '',
      'hello',
      `${pem}${pem}`,
      `hello\n${pem}`,
      pem.replace('-----END PUBLIC KEY-----\n', ''),
      pem.replace('PUBLIC', 'PRIVATE'),
      pem.replace('MCow', 'MCox'),
      pem.replace('MCow', ''),
      pem.replace(/MCow.*/, Buffer.alloc(44).toString('base64')),
      pem.replace(/MCow.*/, `MCowBQYDK2VwAyEA${Buffer.alloc(32).toString('base64')}`),
      `${pem}${'#\n'.repeat(4096)}`,
    ]
    for (const text of variants) {
      const refused = expect.objectContaining({ code: 'BAD_INPUT' })
      expect(() => parsePublicKey(bytesOf(text), 'x'), text.slice(0, 99)).toThrow(refused)
    }
    expect(() => parsePublicKey(Uint8Array.of(0xff), 'x')).toThrow(/UTF-8/)
  })

  it('has the fingerprint of its SubjectPublicKeyInfo', () => {
    const der = Buffer.from(encodePublicKey(pair.key).split('\n')[2] ?? '', 'base64')
    expect(pair.key.keyId).toBe(createHash('sha256').update(der).digest('hex'))
    expect(shortKeyId('0123456789abcdef'.repeat(4))).toBe('0123 4567 89ab cdef')
  })

  it.skipIf(noOpenssl)('is read by openssl, which checks our signatures with it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'akidb-keys-'))
    try {
      const at = (name: string): string => join(folder, name)
      await writeFile(at('key.pem'), encodePublicKey(pair.key))
      const der = spawnSync('openssl', ['pkey', '-pubin', '-in', at('key.pem'), '-outform', 'DER'])
      expect(createHash('sha256').update(der.stdout).digest('hex')).toBe(pair.key.keyId)
      const envelope = signDetached('application/x', bytesOf('payload'), [createSigner(pair)])
      const { signatures } = JSON.parse(new TextDecoder().decode(envelope)) as {
        signatures: { sig: string }[]
      }
      await writeFile(at('sig'), Buffer.from(signatures[0]?.sig ?? '', 'base64'))
      await writeFile(at('message'), pae('application/x', bytesOf('payload')))
      const command = ['pkeyutl', '-verify', '-pubin', '-inkey', at('key.pem'), '-rawin']
      const check = spawnSync('openssl', [...command, '-in', at('message'), '-sigfile', at('sig')])
      expect(check.stderr.toString()).toBe('')
      expect(check.status).toBe(0)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})

describe('private key file', () => {
  it('is refused with any byte altered or cut, or still means the same key', async () => {
    const bytes = await encodePrivateKey(pair, {
      name: 'default',
      createdAt: '2026-01-02T03:04:05.000Z',
      random: systemRandom,
    })
    for (let length = 0; length < bytes.length - 1; length++) {
      expect(() => parsePrivateKey(bytes.subarray(0, length), 'x')).toThrow(
        expect.objectContaining({ code: 'INTEGRITY' }),
      )
    }
    for (let i = 0; i < bytes.length; i++) {
      const other = bytes.slice()
      other[i] = (other[i] ?? 0) ^ 1
      try {
        expect(parsePrivateKey(other, 'x').key.keyId).toBe(pair.key.keyId)
      } catch (error) {
        expect(error).toMatchObject({
          code: expect.stringMatching(/^(INTEGRITY|FORMAT_VERSION)$/),
        })
      }
    }
  })

  it('of a later format is FORMAT_VERSION', () => {
    expect(() => parsePrivateKey(bytesOf('{"format":"akidb-key/2"}'), 'x')).toThrow(
      expect.objectContaining({ code: 'FORMAT_VERSION' }),
    )
  })
})

describe('passphrase box', () => {
  it('opens with the same passphrase only, however its letters are composed', async () => {
    const box = await sealWithPassphrase(bytesOf('secret'), 'pässwörd', systemRandom)
    expect(box).toMatchObject({ kdf: 'scrypt', n: 131_072, r: 8, p: 1 })
    const decomposed = 'pässwörd'.normalize('NFD')
    expect(await openWithPassphrase(box, decomposed, 'x')).toEqual(bytesOf('secret'))
    await expect(openWithPassphrase(box, 'password', 'x')).rejects.toMatchObject({ code: 'AUTH' })
    await expect(openWithPassphrase(box, '', 'x')).rejects.toMatchObject({ code: 'AUTH' })
  })

  it('refuses an empty passphrase', async () => {
    await expect(sealWithPassphrase(bytesOf('x'), '', systemRandom)).rejects.toMatchObject({
      code: 'USAGE',
    })
  })

  it('refuses costs that would exhaust memory or time, and odd lengths, at once', async () => {
    const box = {
      kdf: 'scrypt',
      n: 2 ** 17,
      r: 8,
      p: 1,
      salt: Buffer.alloc(32).toString('base64'),
      nonce: Buffer.alloc(24).toString('base64'),
      box: Buffer.alloc(48).toString('base64'),
    } as const
    const hostile = [
      { n: 2 ** 30 },
      { n: 2 ** 20, r: 8 },
      { n: 2 ** 13 },
      { n: 2 ** 17 + 1 },
      { n: 0 },
      { n: -(2 ** 17) },
      { n: 2 ** 17 + 0.5 },
      { n: Number.NaN },
      { r: 0 },
      { r: 33 },
      { r: 1.5 },
      { p: 0 },
      { p: 17 },
      { n: 2 ** 17, r: 32, p: 17 },
      { salt: '' },
      { salt: Buffer.alloc(65).toString('base64') },
      { salt: 'not base64!' },
      { nonce: Buffer.alloc(23).toString('base64') },
      { box: Buffer.alloc(15).toString('base64') },
    ]
    for (const part of hostile) {
      const attempt = openWithPassphrase({ ...box, ...part }, 'x', 'x')
      await expect(attempt, JSON.stringify(part)).rejects.toMatchObject({ code: 'INTEGRITY' })
    }
  })
})
