import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openPrivateFiles } from '../../src/storage/private-files.ts'
import { systemRandom } from '../../src/storage/system-random.ts'
import { verifyEd25519 } from '../../src/trust/ed25519.ts'
import { keyPairOfSeed } from '../../src/trust/key-pair.ts'
import { describeKey, type KeyStore, openKeyStore } from '../../src/trust/key-store.ts'
import { parsePublicKey } from '../../src/trust/public-key-file.ts'

const NOW = '2026-01-02T03:04:05.000Z'
const message = new TextEncoder().encode('message')
const foreign = keyPairOfSeed(new Uint8Array(32).fill(6)).key

let folder: string
let keys: KeyStore
const openAt = (path: string): KeyStore =>
  openKeyStore(openPrivateFiles(path), {
    random: systemRandom,
    clock: { nowMs: () => Date.parse(NOW) },
  })
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'akidb-keys-'))
  keys = openAt(join(folder, 'keys'))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

const file = (name: string): string => join(folder, 'keys', name)
const modeOf = async (name: string): Promise<number> => (await stat(file(name))).mode & 0o777

describe('key store', () => {
  it('is empty before the first key, and makes no folder', async () => {
    expect(await keys.list()).toEqual([])
    expect(await keys.trusted()).toEqual([])
    await expect(keys.load('default')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(keys.publicKey('default')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(keys.untrust('default')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await readdir(folder)).toEqual([])
  })

  it('generates a key that signs, is trusted, listed and exported', async () => {
    const key = await keys.generate('log')
    const signer = await keys.load('log')
    expect(signer.key).toEqual(key)
    expect(verifyEd25519(key.raw, message, signer.sign(message))).toBe(true)
    expect(await keys.isLocked('log')).toBe(false)
    expect(await keys.trusted()).toEqual([key])
    expect(await keys.publicKey('log')).toEqual(key)
    expect(await keys.list()).toEqual([
      {
        name: 'log',
        keyId: key.keyId,
        hasPrivate: true,
        encrypted: false,
        trusted: true,
        createdAt: NOW,
      },
    ])
    const pem = new TextEncoder().encode(await keys.exportPublic('log'))
    expect(parsePublicKey(pem, 'x')).toEqual(key)
    expect(describeKey(key)).toContain(key.keyId)
  })

  it('keeps private keys from others, with any umask', async () => {
    await keys.generate('default')
    expect(await modeOf('default.key.json')).toBe(0o600)
    expect(await modeOf('default.pub')).toBe(0o644)
    expect((await stat(join(folder, 'keys'))).mode & 0o777).toBe(0o700)
  })

  it('does not load a private key that others can read', async () => {
    const key = await keys.generate('default')
    for (const mode of [0o640, 0o604, 0o620, 0o601]) {
      await chmod(file('default.key.json'), mode)
      await expect(keys.load('default')).rejects.toMatchObject({
        code: 'AUTH',
        hint: expect.stringContaining('chmod 600'),
      })
    }
    expect(await keys.trusted()).toEqual([key])
    await chmod(file('default.key.json'), 0o400)
    expect((await keys.load('default')).key).toEqual(key)
  })

  it('locks a key with a passphrase; its public half stays readable', async () => {
    const key = await keys.generate('default', { passphrase: 'open sesame' })
    // With its quotes: base64 of random bytes may spell the word.
    expect(await readFile(file('default.key.json'), 'utf8')).not.toContain('"seed"')
    expect(await keys.isLocked('default')).toBe(true)
    expect(await keys.list()).toMatchObject([{ encrypted: true, hasPrivate: true }])
    await expect(keys.load('default')).rejects.toMatchObject({
      code: 'AUTH',
      message: expect.stringContaining('locked'),
    })
    await expect(keys.load('default', { passphrase: 'wrong' })).rejects.toMatchObject({
      code: 'AUTH',
      message: expect.stringContaining('wrong'),
    })
    const signer = await keys.load('default', { passphrase: 'open sesame' })
    expect(verifyEd25519(key.raw, message, signer.sign(message))).toBe(true)
  })

  it('never overwrites a key unless told, and then goes on trusting the old one', async () => {
    const old = await keys.generate('default')
    await expect(keys.generate('default')).rejects.toMatchObject({ code: 'EXISTS' })
    expect((await keys.load('default')).key).toEqual(old)
    const next = await keys.generate('default', { replace: true })
    expect(next.keyId).not.toBe(old.keyId)
    expect((await keys.load('default')).key).toEqual(next)
    const trusted = (await keys.trusted()).map((key) => key.keyId)
    expect(trusted.sort()).toEqual([old.keyId, next.keyId].sort())
    const retired = `default-${old.keyId.slice(0, 8)}`
    expect(await keys.publicKey(retired)).toMatchObject({ keyId: old.keyId })
    await keys.untrust(retired)
    expect(await keys.trusted()).toEqual([next])
  })

  it('lets one of two that generate at once win', async () => {
    const results = await Promise.allSettled([keys.generate('log'), keys.generate('log')])
    const [won] = results.filter((result) => result.status === 'fulfilled')
    const lost = results.filter((result) => result.status === 'rejected')
    expect(lost).toMatchObject([{ reason: { code: 'EXISTS' } }])
    expect((await keys.load('log')).key).toEqual(won?.value)
    expect(await keys.trusted()).toHaveLength(1)
  })

  it('trusts a key of somebody else once, under the name given', async () => {
    const trusted = await keys.trust(foreign, { name: 'site-b' })
    expect(trusted).toMatchObject({ keyId: foreign.keyId, name: 'site-b' })
    expect(await keys.trust(foreign, { name: 'again' })).toMatchObject({ name: 'site-b' })
    expect(await keys.trusted()).toEqual([trusted])
    expect(await keys.list()).toMatchObject([
      { name: 'site-b', hasPrivate: false, encrypted: false, trusted: true, createdAt: null },
    ])
    await expect(keys.load('site-b')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await keys.untrust('site-b')
    expect(await keys.trusted()).toEqual([])
  })

  it('names a key without a name by its fingerprint', async () => {
    expect((await keys.trust(foreign)).name).toBe(foreign.keyId.slice(0, 16))
    const other = { ...keyPairOfSeed(new Uint8Array(32).fill(7)).key, name: '../../x' }
    expect((await keys.trust(other)).name).toBe(other.keyId.slice(0, 16))
  })

  it('gives a foreign key whose own name is taken a name of its own', async () => {
    await keys.generate('default')
    const other = { ...keyPairOfSeed(new Uint8Array(32).fill(7)).key, name: 'default' }
    const trusted = await keys.trust(other)
    expect(trusted.name).toBe(`default-${other.keyId.slice(0, 8)}`)
    expect((await keys.list()).map(({ name }) => name)).toEqual(['default', trusted.name])
  })

  it('lets no foreign key take a name, and no own key be untrusted', async () => {
    await keys.generate('default')
    await expect(keys.trust(foreign, { name: 'default' })).rejects.toMatchObject({ code: 'EXISTS' })
    await keys.trust(foreign, { name: 'site-b' })
    await expect(keys.generate('site-b')).rejects.toMatchObject({ code: 'EXISTS' })
    await expect(keys.generate('site-b', { replace: true })).rejects.toMatchObject({
      code: 'EXISTS',
    })
    await expect(keys.untrust('default')).rejects.toMatchObject({ code: 'CONFLICT' })
  })

  it('takes names of 1 to 64 plain characters', async () => {
    await keys.generate('a')
    const longest = `A${'b'.repeat(63)}`
    const key = await keys.generate(longest)
    await keys.generate(longest, { replace: true })
    expect(await keys.trusted()).toHaveLength(3)
    expect((await keys.trusted()).map(({ keyId }) => keyId)).toContain(key.keyId)
    for (const name of ['', `a${'b'.repeat(64)}`, '.a', '-a', 'a/b', '../a', 'ä', 'a b']) {
      await expect(keys.generate(name)).rejects.toMatchObject({ code: 'USAGE' })
      await expect(keys.load(name)).rejects.toMatchObject({ code: 'USAGE' })
    }
  })

  it('says INTEGRITY for a damaged or swapped private key', async () => {
    await keys.generate('a')
    await keys.generate('b')
    const a = JSON.parse(await readFile(file('a.key.json'), 'utf8')) as Record<string, unknown>
    const b = JSON.parse(await readFile(file('b.key.json'), 'utf8')) as Record<string, unknown>
    await writeFile(file('a.key.json'), JSON.stringify({ ...a, secret: b.secret }))
    await expect(keys.load('a')).rejects.toMatchObject({ code: 'INTEGRITY' })
    await writeFile(file('b.key.json'), '{')
    await expect(keys.load('b')).rejects.toMatchObject({ code: 'INTEGRITY' })
  })
})

describe('backup of keys', () => {
  it('brings all keys to an empty store, own and foreign', async () => {
    await keys.generate('log')
    await keys.generate('default', { passphrase: 'p' })
    await keys.trust(foreign, { name: 'site-b' })
    const backup = await keys.backup()
    const other = openAt(join(folder, 'other'))
    expect(await other.restore(backup)).toEqual(['default', 'log', 'site-b'])
    expect(await other.list()).toEqual(await keys.list())
    expect(await other.trusted()).toEqual(await keys.trusted())
    expect((await other.load('log')).sign(message)).toEqual((await keys.load('log')).sign(message))
    expect((await stat(join(folder, 'other/log.key.json'))).mode & 0o777).toBe(0o600)
    expect(await other.restore(backup)).toHaveLength(3)
  })

  it('can be locked by a passphrase', async () => {
    await keys.generate('log')
    const backup = await keys.backup({ passphrase: 'p' })
    expect(new TextDecoder().decode(backup)).not.toContain('log')
    const other = openAt(join(folder, 'other'))
    await expect(other.restore(backup)).rejects.toMatchObject({ code: 'AUTH' })
    await expect(other.restore(backup, { passphrase: 'q' })).rejects.toMatchObject({ code: 'AUTH' })
    expect(await other.restore(backup, { passphrase: 'p' })).toEqual(['log'])
  })

  it('leaves the key of a log that is there alone, and brings the others', async () => {
    await keys.generate('default')
    await keys.generate('log')
    const backup = await keys.backup()
    const other = openAt(join(folder, 'other'))
    const own = await other.generate('log')
    expect(await other.restore(backup)).toEqual(['default'])
    expect((await other.load('log')).key).toEqual(own)
  })

  it('overwrites no other key unless told, and then nothing before all is checked', async () => {
    await keys.generate('default')
    const backup = await keys.backup()
    const other = openAt(join(folder, 'other'))
    await other.generate('default')
    await expect(other.restore(backup)).rejects.toMatchObject({ code: 'EXISTS' })
    await other.restore(backup, { replace: true })
    expect((await other.load('default')).key).toEqual(await keys.publicKey('default'))
  })

  it('is refused where it is damaged or names files that are no keys', async () => {
    await keys.generate('log')
    const text = new TextDecoder().decode(await keys.backup())
    const other = openAt(join(folder, 'other'))
    const restore = (backup: string) => other.restore(new TextEncoder().encode(backup))
    await expect(restore('hello')).rejects.toMatchObject({ code: 'BAD_INPUT' })
    await expect(restore('{"format":"other"}')).rejects.toMatchObject({ code: 'BAD_INPUT' })
    await expect(restore(text.slice(0, -5))).rejects.toMatchObject({ code: 'BAD_INPUT' })
    const renamed = text.replace('"log.key.json"', '"lag.key.json"')
    await expect(restore(renamed)).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(await other.list()).toEqual([])
    expect(await readdir(folder)).toEqual(['keys'])
  })
})
