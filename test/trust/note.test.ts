import { describe, expect, it } from 'vitest'
import { createSigner, keyPairOfSeed, publicKeyOf } from '../../src/trust/key-pair.ts'
import {
  isNoteName,
  NOTE_SIGNATURES_MAX,
  noteKeyHash,
  openNote,
  parseNote,
  signNote,
} from '../../src/trust/note.ts'

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const base64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'))

/** Example of the package documentation of golang.org/x/mod/sumdb/note, with its private key. */
const GO_TEXT =
  'If you think cryptography is the answer to your problem,\n' +
  "then you don't know what your problem is.\n"
const GO_SIGNATURE =
  'x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM='
const GO_NOTE = `${GO_TEXT}\n— PeterNeumann ${GO_SIGNATURE}\n`
const GO_KEY = base64('ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW').slice(1)
const GO_SEED = base64('AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz').slice(1)

/** Example of C2SP signed-note. */
const C2SP_SIGNATURE =
  'Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM='
const C2SP_NOTE = `This is an example message.\n\n— example.com/foo ${C2SP_SIGNATURE}\n`
const C2SP_KEY = base64('AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k').slice(1)

const peter = { name: 'PeterNeumann', key: publicKeyOf(GO_KEY) }
const pair = keyPairOfSeed(new Uint8Array(32).fill(9))
const signer = createSigner(pair, { implementation: 'node' })
const log = { name: 'akidb/log', key: pair.key }

describe('signed note', () => {
  it('reads and makes the example of the Go implementation, byte for byte', () => {
    expect(noteKeyHash('PeterNeumann', GO_KEY)).toBe('c74f20a3')
    expect(openNote(bytesOf(GO_NOTE), [peter]).text).toBe(GO_TEXT)
    const goSigner = createSigner(keyPairOfSeed(GO_SEED))
    expect(textOf(signNote(GO_TEXT, 'PeterNeumann', goSigner))).toBe(GO_NOTE)
  })

  it('reads the example of the specification', () => {
    expect(noteKeyHash('example.com/foo', C2SP_KEY)).toBe('530d903a')
    const verifier = { name: 'example.com/foo', key: publicKeyOf(C2SP_KEY) }
    const note = openNote(bytesOf(C2SP_NOTE), [peter, verifier])
    expect(note.text).toBe('This is an example message.\n')
    expect(note.verified).toEqual([verifier])
  })

  it('carries texts with empty lines and dashes', () => {
    for (const text of ['\n', 'a\n', 'a\n\n', '\n\nb\n', '— x y\n\n— z\n', 'ä — €\n']) {
      expect(openNote(signNote(text, log.name, signer), [log]).text).toBe(text)
    }
  })

  it('refuses to sign what no note can carry', () => {
    for (const text of ['', 'a', 'a\r\n', 'a\0\n', 'a\tb\n', '\ud800\n']) {
      expect(() => signNote(text, log.name, signer)).toThrow(/no note can carry/)
    }
    for (const name of ['', 'a b', 'a+b', 'a\u00a0b', 'a\u0085b', 'a\nb', '\ud800']) {
      expect(isNoteName(name)).toBe(false)
      expect(() => signNote('a\n', name, signer)).toThrow(/no note can carry/)
    }
  })

  it('is UNTRUSTED without a known key, or under another name', () => {
    const note = signNote('a\n', log.name, signer)
    const untrusted = expect.objectContaining({ code: 'UNTRUSTED' })
    for (const verifiers of [[], [peter], [{ name: 'akidb/other', key: pair.key }]]) {
      expect(() => openNote(note, verifiers)).toThrow(untrusted)
    }
  })

  it('refuses every flipped bit and every cut', () => {
    const note = signNote('akidb/log\n12\nabc=\n', log.name, signer)
    const refused = expect.objectContaining({ code: expect.stringMatching(/SIGNATURE|UNTRUSTED/) })
    for (let bit = 0; bit < note.length * 8; bit++) {
      const other = note.slice()
      other[bit >> 3] = (other[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(() => openNote(other, [log])).toThrow(refused)
    }
    for (let length = 0; length < note.length; length++) {
      expect(() => openNote(note.subarray(0, length), [log])).toThrow(refused)
    }
    expect(() => openNote(Buffer.concat([note, bytesOf('\n')]), [log])).toThrow(refused)
  })

  it('ignores signatures of unknown keys, but not a bad one of a known key', () => {
    const note = textOf(signNote('a\n', log.name, signer))
    const line = note.split('\n')[2] ?? ''
    const other = createSigner(keyPairOfSeed(new Uint8Array(32).fill(8)))
    const foreign = textOf(signNote('a\n', 'witness', other)).split('\n')[2]
    const two = `${note}${foreign}\n`
    expect(openNote(bytesOf(two), [log]).verified).toEqual([log])
    expect(openNote(bytesOf(two), [log]).signatures).toHaveLength(2)
    const both = [log, { name: 'witness', key: other.key }]
    expect(openNote(bytesOf(two), both).verified).toEqual(both)
    expect(openNote(bytesOf(`${note}${line}\n`), [log]).verified).toEqual([log])
    const [, name, signed = ''] = line.split(' ')
    const bytes = base64(signed)
    bytes[10] = (bytes[10] ?? 0) ^ 1
    const bad = `${note}— ${name} ${Buffer.from(bytes).toString('base64')}\n`
    expect(() => openNote(bytesOf(bad), [log])).toThrow(/does not hold/)
  })

  it('bounds the number of signatures', () => {
    const note = textOf(signNote('a\n', log.name, signer))
    const line = `${note.split('\n')[2]}\n`
    const most = `a\n\n${line.repeat(NOTE_SIGNATURES_MAX)}`
    expect(parseNote(bytesOf(most)).signatures).toHaveLength(NOTE_SIGNATURES_MAX)
    expect(() => parseNote(bytesOf(most + line))).toThrow(/more than/)
  })

  it('refuses malformed notes', () => {
    const line = '— n AAAAAAA=\n'
    expect(parseNote(bytesOf(`a\n\n${line}`)).signatures).toHaveLength(1)
    const malformed = [
      '',
      'a\n',
      line,
      'a\n\n',
      `a\n\n\n`,
      `a\r\n\n${line}`,
      'a\n\n- n AAAAAAA=\n',
      'a\n\n— n  AAAAAAA=\n',
      'a\n\n— n AAAAAAA= \n',
      'a\n\n— n AAAAAAA\n',
      'a\n\n— n AAAAAAB=\n',
      'a\n\n— n AAAA\n',
      'a\n\n— AAAAAAA=\n',
      'a\n\n— a+b AAAAAAA=\n',
    ]
    for (const text of malformed) {
      const refused = expect.objectContaining({ code: 'SIGNATURE' })
      expect(() => parseNote(bytesOf(text)), JSON.stringify(text)).toThrow(refused)
    }
    const notUtf8 = Buffer.concat([Uint8Array.of(0xff), bytesOf(`a\n\n${line}`)])
    expect(() => parseNote(notUtf8)).toThrow(/UTF-8/)
  })
})
