import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hasCode } from '../../src/errors/errors.ts'
import { expandInputs } from '../../src/ingest/expand-inputs.ts'
import { matchGlob } from '../../src/ingest/glob.ts'
import { openFile, stdinBytes } from '../../src/ingest/input-bytes.ts'
import { badUtf8At } from '../../src/ingest/utf8-check.ts'
import { readInput } from './read-all.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'akidb-inputs-'))
  mkdirSync(join(folder, 'sub/deep'), { recursive: true })
  for (const name of [
    'b.csv',
    'a.csv',
    'B.jsonl',
    'é.parquet',
    'notes.txt',
    'sub/c.csv.gz',
    'sub/deep/d.ndjson',
  ]) {
    writeFileSync(join(folder, name), '{"id":1,"vector":[1]}\n')
  }
  symlinkSync(folder, join(folder, 'sub/circle'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const names = async (...patterns: string[]) =>
  (await expandInputs(patterns.map((pattern) => join(folder, pattern)))).map((path) =>
    path.slice(folder.length + 1),
  )

describe('expandInputs', () => {
  it('finds the known formats below a folder, in bytewise order, through no circle', async () => {
    expect(await names('.')).toEqual([
      'B.jsonl',
      'a.csv',
      'b.csv',
      'sub/c.csv.gz',
      'sub/deep/d.ndjson',
      'é.parquet',
    ])
  })

  it('names each file once, whatever the order of the arguments', async () => {
    expect(await names('b.csv', '*.csv', 'a.csv')).toEqual(['a.csv', 'b.csv'])
  })

  it('follows globs within a folder and across', async () => {
    expect(await names('?.csv')).toEqual(['a.csv', 'b.csv'])
    expect(await names('sub/*')).toEqual(['sub/c.csv.gz'])
    expect(await names('**/*.ndjson')).toEqual(['sub/deep/d.ndjson'])
    expect(await names('**/*.csv')).toEqual(['a.csv', 'b.csv'])
  })

  it('takes any file that is named itself', async () => {
    expect(await names('notes.txt')).toEqual(['notes.txt'])
  })

  it('fails where an argument names nothing', async () => {
    for (const pattern of ['none.csv', '*.tsv', 'none/*.csv']) {
      const error = await names(pattern).catch((caught: unknown) => caught)
      expect(hasCode(error, 'NOT_FOUND'), pattern).toBe(true)
    }
  })
})

describe('matchGlob', () => {
  it.each([
    ['v*', 'v1', true],
    ['v*', 'w1', false],
    ['*', '', true],
    ['', '', true],
    ['a*b*c', 'aXbYbZc', true],
    ['a*b*c', 'aXbYbZ', false],
    ['a/*', 'a/b/c', false],
    ['a/**', 'a/b/c', true],
    ['/x/**/*.nd', '/x/a/b/d.nd', true],
    ['**/a*/**/c', 'x/y/ab/z/c', true],
    ['**/a*/**/c', 'x/y/b/z/c', false],
    ['a/**/b', 'ab', false],
    ['*', 'a/b', false],
    ['a/**/c', 'a/c', true],
    ['a/?', 'a//', false],
    ['[x]', '[x]', true],
  ])('%j against %j is %j', (pattern, text, expected) => {
    expect(matchGlob(pattern, text)).toBe(expected)
  })

  it('is not slowed by many stars', () => {
    expect(matchGlob(`${'*a'.repeat(50)}b`, 'a'.repeat(5_000))).toBe(false)
  })
})

describe('openFile', () => {
  it('reads at any place and as a stream', async () => {
    const input = await openFile(join(folder, 'a.csv'))
    expect(input.bytes).toBe(22)
    expect(Buffer.from((await input.readAt?.(2, 2)) ?? []).toString()).toBe('id')
    expect((await input.readAt?.(20, 100))?.length).toBe(2)
    let length = 0
    for await (const piece of input.stream()) length += piece.length
    expect(length).toBe(22)
    await input.close()
  })

  it('fails with NOT_FOUND and for a folder with USAGE', async () => {
    expect(hasCode(await openFile(join(folder, 'x')).catch((e: unknown) => e), 'NOT_FOUND')).toBe(
      true,
    )
    expect(hasCode(await openFile(folder).catch((e: unknown) => e), 'USAGE')).toBe(true)
  })
})

it('reads standard input and finds its format', async () => {
  const pieces = (text: string) =>
    (async function* () {
      yield Buffer.from(text)
    })()
  const jsonl = await readInput(stdinBytes(pieces('\n {"id":1,"vector":[1]}\n')))
  expect(jsonl.plan.format).toBe('jsonl')
  const csv = await readInput(stdinBytes(pieces('id,vector\n1,[1]\n')))
  expect([csv.plan.format, csv.records.length]).toEqual(['csv', 1])
})

describe('badUtf8At', () => {
  it.each([
    [[0x61, 0xff], 1],
    [[0xc0, 0xaf], 0],
    [[0x61, 0xed, 0xa0, 0x80, 0x62], 1],
    [[0xe2, 0x82], 0],
    [[0x61, 0xf0, 0x9f, 0x98, 0x80, 0xf5], 5],
    [[0x80], 0],
    [[0xc3, 0xa9], -1],
    [[], -1],
  ])('finds the first wrong byte of %j at %i', (bytes, at) => {
    expect(badUtf8At(Uint8Array.from(bytes))).toBe(at)
  })

  it('agrees with a byte-by-byte search on random bytes', () => {
    const seed = Date.now() % 1_000_000
    let state = seed + 1
    const random = () => {
      state = (state * 48_271) % 2_147_483_647
      return state / 2_147_483_647
    }
    for (let i = 0; i < 3_000; i++) {
      const good = Buffer.from(
        'aé€😀'
          .repeat(3)
          .slice(0, Math.floor(random() * 12))
          .toWellFormed(),
      )
      const bytes = Buffer.concat([
        good,
        Uint8Array.of(Math.floor(random() * 128) + 128),
        Buffer.from('xyz'),
      ])
      expect(badUtf8At(bytes), `seed ${seed}`).toBe(good.length)
    }
  })
})
