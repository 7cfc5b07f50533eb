import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { decodeFloat16, encodeFloat16 } from '../../src/core/float16.ts'
import { openPlace } from './support/cli.ts'

const place = openPlace()
afterAll(() => place.remove())

const a = (...argv: string[]) => place.json('--store', 'a', ...argv)
const VECTOR = [0.1, -3.3, 1000.7]
const ROUNDED = [...decodeFloat16(encodeFloat16(Float32Array.from(VECTOR)))]

beforeAll(async () => {
  await a('init')
  const rows = [
    { id: 'a', vector: VECTOR },
    { id: 'b', vector: [1, 70_000, 1] },
  ]
  writeFileSync('rows.jsonl', rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  await a('ingest', 'docs', 'rows.jsonl')
})

it.each(['jsonl', 'csv', 'parquet'])(
  'ingest --storage f16 rounds what a %s file has',
  async (format) => {
    await a('dump', 'docs', '--format', format, '-o', `out.${format}`)
    const options = ['--storage', 'f16', '--max-rejects', '1']
    const report = await a('ingest', format, `out.${format}`, ...options)
    expect(report).toMatchObject({ inserted: 1, rejected: 1 })
    const { vector } = await a('get', format, 'a', '--with-vector')
    expect(vector).toEqual(ROUNDED)
  },
)

it('create --storage f16 is kept by what comes later, and shown', async () => {
  await a('create', 'made', '--dimension', '3', '--storage', 'f16')
  await a('ingest', 'made', 'rows.jsonl', '--max-rejects', '1')
  const { vector } = await a('get', 'made', 'a', '--with-vector')
  expect(vector).toEqual(ROUNDED)
  const shown = await place.run(['--store', 'a', 'show', 'made'])
  expect(shown.stdout).toMatch(/^storage +f16$/m)
  const plain = await place.run(['--store', 'a', 'show', 'docs'])
  expect(plain.stdout).not.toMatch(/^storage/m)
})

it('other forms, and --storage without vectors, are usage errors', async () => {
  for (const flags of [
    ['--dimension', '3', '--storage', 'f8'],
    ['--storage', 'f16'],
  ]) {
    expect((await place.run(['--store', 'a', 'create', 'x', ...flags])).code).toBe(2)
  }
  const again = ['--store', 'a', 'ingest', 'docs', 'rows.jsonl', '--again', '--storage', 'f16']
  const other = await place.run(again)
  expect(other.code).toBe(26)
  expect(other.stderr).toContain('stores vectors as f32, not f16')
})
