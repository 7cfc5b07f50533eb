import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { type JsonValue, toPlain } from '../../src/core/json.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import type { ReadOptions, Reject } from '../../src/ingest/records.ts'
import { inMemory, type ReadResult, readFile, readInput } from './read-all.ts'
import { dataFolder, hasData, readJson } from './shared-data.ts'

interface Place {
  readonly line?: number
  readonly row?: number
  readonly id: string | null
  readonly why: string
  readonly byte?: number
}

interface Expected {
  readonly file: string
  readonly accept: 'control' | readonly string[]
  readonly refuse: readonly Place[]
  readonly either: readonly Place[]
  readonly fatal: string | null
  readonly file_either: boolean
  readonly vector?: readonly string[]
  readonly dim?: number
  readonly vectors?: Readonly<Record<string, readonly number[]>>
  readonly titles?: Readonly<Record<string, string>>
  readonly duplicates?: readonly { id: string; lines?: number[]; rows?: number[] }[]
}

interface Control {
  readonly rows: readonly { id: string; title: string; n: number; vector: number[] }[]
}

const there = hasData('the nasty inputs')
const files = there ? (readJson('dirty/expect.json') as Expected[]) : []
const control = there ? (readJson('dirty/control.json') as Control) : { rows: [] }

/** Rows whose title, n or vector the table says are other than the control's. */
const OTHER_TITLE = new Set([
  'csv/duplicate-ids.csv',
  'csv/stray-quote.csv',
  'jsonl/long-line.jsonl',
])

function optionsFor(file: Expected): Partial<ReadOptions> {
  const dimension = file.dim ?? 8
  return file.vector === undefined ? { dimension } : { dimension, vectorColumns: 'v*' }
}

describe.skipIf(!there)('a nasty input', () => {
  it('is one of 107', () => expect(files).toHaveLength(107))

  it.each(files.map((file) => [file.file, file] as const))(
    '%s ends as it should',
    async (_, file) => {
      const path = `${dataFolder}/dirty/${file.file}`
      const result = await readFile(path, optionsFor(file)).catch((error: unknown) => error)
      checkOutcome(file, result)
      if (file.file.startsWith('parquet/')) return
      // The same from a pipe in small pieces, with every cut at another place.
      const pipe = inMemory(file.file, readFileSync(path), 777)
      const piped = await readInput(pipe, optionsFor(file)).catch((error: unknown) => error)
      expect(outcome(piped)).toEqual(outcome(result))
    },
  )
})

function outcome(result: unknown): unknown {
  if (result instanceof AkidbError) return result.code
  if (result instanceof Error) throw result
  const { records, rejects } = result as ReadResult
  return { records, rejects }
}

function checkOutcome(file: Expected, result: unknown): void {
  if (result instanceof AkidbError) {
    expect(['BAD_INPUT', 'USAGE', 'LIMIT']).toContain(result.code)
    expect(result.message.length).toBeGreaterThan(20)
    expect(file.fatal !== null || file.file_either, `refused whole: ${result.message}`).toBe(true)
    return
  }
  if (result instanceof Error) throw result
  expect(file.fatal === null || file.file_either, 'must be refused whole').toBe(true)
  const read = result as ReadResult
  expect(read.records.length + read.rejects.length).toBe(read.rowsRead)
  expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  checkTaken(file, read)
  checkRefused(file, read)
}

function checkTaken(file: Expected, read: ReadResult): void {
  const live = new Map<string, ReadResult['records'][number]>()
  for (const record of read.records) {
    live.delete(record.id)
    live.set(record.id, record)
  }
  const either = new Set(file.either.map((place) => place.line ?? place.row))
  const wanted = file.accept === 'control' ? control.rows.map((row) => row.id) : file.accept
  const sure = read.records
    .filter((record) => !either.has(record.position))
    .map((record) => record.id)
  const twice = new Set(file.duplicates?.map((duplicate) => duplicate.id))
  expect(sure.filter((id, at) => !twice.has(id) || sure.indexOf(id) === at)).toEqual(wanted)
  for (const [position, record] of [...live.values()].entries()) {
    const number = /^r(\d\d)$/.exec(record.id)?.[1]
    const row = control.rows[number === undefined ? position : Number(number)]
    if (file.vectors?.[record.id] !== undefined) {
      expect([...(record.vector ?? [])]).toEqual(file.vectors[record.id])
    } else if (twice.has(record.id)) {
      continue
    } else if (number !== undefined && !either.has(record.position)) {
      expect([...(record.vector ?? [])], record.id).toEqual(row?.vector)
    }
    const title = file.titles?.[record.id]
    // An unquoted empty cell is null by contract.
    if (title !== undefined) expect(record.payload.get('title') ?? '', record.id).toBe(title)
    else if (number !== undefined && !either.has(record.position) && !OTHER_TITLE.has(file.file)) {
      if (record.payload.has('title')) expect(record.payload.get('title')).toBe(row?.title)
    }
    if (file.accept === 'control') expect(record.payload.get('n')).toBe(row?.n)
  }
}

function checkRefused(file: Expected, read: ReadResult): void {
  const at = (reject: Reject): number | undefined => reject.line ?? reject.row
  const places = new Map(read.rejects.map((reject) => [at(reject), reject]))
  for (const place of file.refuse) {
    const reject = places.get(place.line ?? place.row)
    expect(reject, `${place.line ?? place.row} (${place.why}) must be refused`).toBeDefined()
    expect(reject?.reason.length).toBeGreaterThan(5)
    if (place.id !== null && place.id !== '' && reject?.id !== undefined)
      expect(reject.id).toBe(place.id)
    if (place.byte !== undefined) expect(reject?.byte).toBe(place.byte)
  }
  const known = new Set([...file.refuse, ...file.either].map((place) => place.line ?? place.row))
  expect([...places.keys()].filter((position) => !known.has(position ?? -1))).toEqual([])
}

describe.skipIf(!there)('values', () => {
  it('of every Parquet payload type are exact', async () => {
    const { records } = await readFile(`${dataFolder}/dirty/parquet/payload-types.parquet`)
    const { columns } = readJson('dirty/parquet/payload-types.expected.json') as {
      columns: Record<string, { values: unknown[] }>
    }
    expect(records).toHaveLength(4)
    for (const [name, column] of Object.entries(columns)) {
      const found = records.map((record) => comparable(record.payload.get(name) ?? null))
      expect(found, name).toEqual(column.values.map(texts))
    }
  })

  it('of INT96 timestamps keep their nanoseconds', async () => {
    const { records, plan } = await readFile(`${dataFolder}/dirty/parquet/int96.parquet`)
    const name = Object.keys(plan.fields).find((key) => plan.fields[key] === 'datetime') ?? ''
    expect(records.map((record) => record.payload.get(name))).toEqual([
      '2024-02-29T23:59:59.123456789',
      '1969-12-31T23:59:59.999999999',
      '1970-01-01T00:00:00',
    ])
  })

  it('under names of Object.prototype stay own members', async () => {
    for (const file of ['csv/proto.csv', 'jsonl/proto.jsonl', 'parquet/proto.parquet']) {
      const { records } = await readFile(`${dataFolder}/dirty/${file}`)
      expect(
        records.some((record) => record.payload.has('__proto__')),
        file,
      ).toBe(true)
      for (const record of records) {
        const plain = toPlain(record.payload) as object
        expect(Object.keys(plain).length, file).toBe(record.payload.size)
        expect(Object.getPrototypeOf(plain)).toBe(Object.prototype)
      }
    }
  })

  it('under such names have a type of their own, with demands or without', async () => {
    for (const options of [{}, { types: {}, fields: {} }]) {
      const { plan } = await readFile(`${dataFolder}/dirty/csv/proto.csv`, options)
      for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
        expect(Object.getOwnPropertyDescriptor(plan.fields, name)?.value, name).toBe('string')
      }
    }
  })

  it('are refused as zero vectors under cosine only', async () => {
    const path = `${dataFolder}/dirty/csv/zero-vector.csv`
    const cosine = await readFile(path, { metric: 'cosine' })
    expect(cosine.rejects.map((reject) => [reject.line, reject.code])).toEqual([
      [6, 'ZERO_VECTOR'],
      [12, 'ZERO_VECTOR'],
    ])
    expect((await readFile(path, { metric: 'l2' })).records).toHaveLength(20)
  })

  it('give the dimension of the first row where nobody does, and say so', async () => {
    const { plan, rejects } = await readFile(`${dataFolder}/dirty/csv/first-row-wrong.csv`)
    expect(plan.dimension).toBe(7)
    expect(plan.notes.join(' ')).toMatch(/dimension is 7, taken from line 2/)
    expect(rejects).toHaveLength(19)
  })

  it('drift in JSON lines as they were written', async () => {
    const { records, plan } = await readFile(`${dataFolder}/dirty/jsonl/schema-drift.jsonl`)
    expect(records).toHaveLength(10)
    expect(plan.fields.tag).toBe('json')
    const lines = readFileSync(`${dataFolder}/dirty/jsonl/schema-drift.jsonl`, 'utf8')
      .trim()
      .split('\n')
    for (const [index, record] of records.entries()) {
      const { id: _, vector: __, ...rest } = JSON.parse(lines[index] ?? '')
      expect(toPlain(record.payload)).toEqual(rest)
    }
  })
})

/** 64-bit integers as the expected file writes them: texts. */
function comparable(value: JsonValue): unknown {
  return texts(toPlain(value))
}

function texts(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'number') return Object.is(value, -0) ? '0' : String(value)
  if (Array.isArray(value)) return value.map(texts)
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, texts(member)]))
  }
  return value
}
