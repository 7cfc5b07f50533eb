import { readFileSync } from 'node:fs'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { describe, expect, it } from 'vitest'
import { toPlain } from '../../src/core/json.ts'
import { AkidbError, hasCode } from '../../src/errors/errors.ts'
import { openSource } from '../../src/ingest/open-source.ts'
import { readHybrid } from '../../src/ingest/parquet/levels.ts'
import { checkThriftStruct } from '../../src/ingest/parquet/thrift-check.ts'
import { int96Text, timestampText, timeText } from '../../src/ingest/parquet/time-text.ts'
import { inMemory, readFile, readInput } from './read-all.ts'
import { dataFolder, hasData } from './shared-data.ts'

type Columns = Parameters<typeof parquetWriteBuffer>[0]

/** Vectors as a required list of required floats, the numbers of row i being i + j/1000. */
function writeVectors(rows: number, dimension: number, options: Partial<Columns> = {}): Uint8Array {
  const range = (count: number) => Array.from({ length: count }, (_, i) => i)
  const buffer = parquetWriteBuffer({
    columnData: [
      { name: 'id', data: range(rows).map((i) => `r${i}`) },
      { name: 'vector', data: range(rows).map((i) => range(dimension).map((j) => i + j / 1_024)) },
    ],
    schema: [
      { name: 'root', num_children: 2 },
      { name: 'id', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
      { name: 'vector', converted_type: 'LIST', repetition_type: 'OPTIONAL', num_children: 1 },
      { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
      { name: 'element', type: 'FLOAT', repetition_type: 'OPTIONAL' },
    ],
    ...options,
  })
  return new Uint8Array(buffer)
}

describe('Parquet vectors', () => {
  it.each([
    [1, 1, {}],
    [3_000, 5, { pageSize: 300 }],
    [2_500, 33, { pageSize: 1_000, rowGroupSize: 700 }],
    [40, 16_384, { codec: 'UNCOMPRESSED' as const }],
  ])('of %i rows and dimension %i come out whole', async (rows, dimension, options) => {
    const bytes = writeVectors(rows, dimension, options)
    const { records, rejects } = await readInput(inMemory('x.parquet', bytes), { metric: 'dot' })
    expect(rejects).toEqual([])
    expect(records).toHaveLength(rows)
    for (const [i, record] of records.entries()) {
      expect(record.position).toBe(i)
      expect(record.id).toBe(`r${i}`)
      expect(record.vector?.[dimension - 1]).toBe(Math.fround(i + (dimension - 1) / 1_024))
      expect(record.vector?.length).toBe(dimension)
    }
  })

  it('go on where a resumed read left off, also behind whole row groups', async () => {
    const bytes = writeVectors(100, 3, { rowGroupSize: 30 })
    for (const skipRows of [0, 1, 29, 30, 31, 99, 100, 101]) {
      const read = await readInput(inMemory('x.parquet', bytes), { skipRows, metric: 'dot' })
      expect(read.records.map((record) => record.position)[0]).toBe(
        skipRows < 100 ? skipRows : undefined,
      )
      expect(read.records).toHaveLength(Math.max(0, 100 - skipRows))
      expect(read.rowsRead).toBe(100)
    }
  })
})

describe('a Parquet column', () => {
  const flat = (columnData: Columns['columnData']) =>
    inMemory('x.parquet', new Uint8Array(parquetWriteBuffer({ columnData })))

  it('that holds floats cannot be the id', async () => {
    const input = flat([{ name: 'id', data: [1.5], type: 'DOUBLE' }])
    await expect(readInput(input, { vectors: false })).rejects.toThrow(/"id" of type double/)
  })

  it('that holds no list of numbers cannot be the vector', async () => {
    const input = flat([
      { name: 'id', data: ['a'], type: 'STRING' },
      { name: 'vector', data: [true], type: 'BOOLEAN' },
    ])
    await expect(readInput(input)).rejects.toThrow(/"vector" of type boolean/)
  })

  it('whose struct has two members of one name is refused, below the top too', async () => {
    const rows = { name: 'id', data: ['a'] }
    for (const names of [
      ['x', 'y'],
      ['x', 'x'],
    ] as const) {
      const members = names.map((name) => ({ name, type: 'INT32', repetition_type: 'REQUIRED' }))
      const bytes = parquetWriteBuffer({
        columnData: [rows, { name: 's', data: [{ t: { x: 1, y: 2 } }] }],
        schema: [
          { name: 'root', num_children: 2 },
          { name: 'id', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' },
          { name: 's', repetition_type: 'REQUIRED', num_children: 1 },
          { name: 't', repetition_type: 'REQUIRED', num_children: 2 },
          ...(members as never[]),
        ],
      })
      const read = readInput(inMemory('x.parquet', new Uint8Array(bytes)), { vectors: false })
      if (names[1] === 'y') expect((await read).records).toHaveLength(1)
      else await expect(read).rejects.toThrow('In the column "t" the member "x" stands twice.')
    }
  })

  it('of JSON, time, uuid or bytes keeps its value', async () => {
    const input = flat([
      { name: 'id', data: [1, 2], type: 'INT32' },
      { name: 'at', data: [new Date(1), new Date(-1)], type: 'TIMESTAMP' },
      { name: 'big', data: [2n ** 62n, 1n], type: 'INT64' },
      { name: 'half', data: [0.5, -2], type: 'FLOAT16' },
      { name: 'json', data: [{ tags: ['x'], n: null }, 'text'], type: 'JSON' },
      {
        name: 'uuid',
        data: ['00112233-4455-6677-8899-aabbccddeeff', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
        type: 'UUID',
      },
    ])
    const { records, plan } = await readInput(input, { vectors: false })
    expect(plan.fields).toMatchObject({
      at: 'datetime',
      big: 'integer',
      half: 'float',
      json: 'json',
      uuid: 'string',
    })
    expect(records.map((record) => record.id)).toEqual(['1', '2'])
    const first = toPlain(records[0]?.payload ?? null) as Record<string, unknown>
    expect(first).toMatchObject({
      big: 2n ** 62n,
      half: 0.5,
      json: { tags: ['x'], n: null },
      uuid: '00112233-4455-6677-8899-aabbccddeeff',
    })
    expect(String(first.at)).toMatch(/^1970-01-01T00:00:00\.001(000)*Z$/)
    expect(records[1]?.payload.get('big')).toBe(1)
    expect(records[1]?.payload.get('json')).toBe('text')
  })
})

describe('a damaged Parquet file', () => {
  const bytes = writeVectors(40, 4, { pageSize: 200, rowGroupSize: 25 })
  const attempt = async (bad: Uint8Array): Promise<unknown> =>
    readInput(inMemory('x.parquet', bad), { metric: 'dot' }).catch((error: unknown) => error)

  it('is refused where it is cut, at every byte', async () => {
    for (let end = 0; end < bytes.length; end++) {
      const error = await attempt(bytes.subarray(0, end))
      expect(hasCode(error, 'BAD_INPUT'), `cut at ${end}`).toBe(true)
    }
  })

  it('ends in records or one clear error, whichever byte is wrong', async () => {
    for (const flip of [0x01, 0xff]) {
      for (let at = 0; at < bytes.length; at++) {
        const bad = Uint8Array.from(bytes)
        bad[at] = (bad[at] ?? 0) ^ flip
        const result = await attempt(bad)
        if (result instanceof Error && !(result instanceof AkidbError)) throw result
        if (result instanceof AkidbError) {
          expect(['BAD_INPUT', 'LIMIT', 'USAGE'], `byte ${at}`).toContain(result.code)
        }
      }
    }
  })

  it('cannot be read from a pipe', async () => {
    await expect(readInput(inMemory('x.parquet', bytes, 512))).rejects.toThrow(/pipe/)
  })
})

describe('checkThriftStruct', () => {
  it.each([
    ['a number without end', [0x15, ...new Array(20).fill(0xff)]],
    ['a list longer than the bytes', [0x19, 0xf5, 0xff, 0xff, 0xff, 0xff, 0x07]],
    ['a string longer than the bytes', [0x18, 0x7f, 0x00]],
    ['structs in structs', new Array(1_000).fill(0x1c)],
    ['lists in lists', new Array(1_000).fill(0x19)],
    ['an unknown type', [0x1e]],
    ['nothing', []],
  ])('refuses %s', (_, bytes) => {
    expect(() => checkThriftStruct(Uint8Array.from(bytes), 0)).toThrow(RangeError)
  })

  it('returns the offset behind the struct', () => {
    expect(checkThriftStruct(Uint8Array.of(9, 0x15, 0x02, 0x18, 0x01, 0x61, 0x00, 9), 1)).toBe(7)
  })
})

describe('readHybrid', () => {
  const read = (bytes: number[], width: number, count: number) => [
    ...readHybrid(Uint8Array.from(bytes), { start: 0, end: bytes.length }, { width, count }),
  ]

  it('reads runs, packed bits of any width and a width of none', () => {
    expect(read([8, 1, 6, 0], 1, 7)).toEqual([1, 1, 1, 1, 0, 0, 0])
    // The example of Encodings.md: 0 to 7 in three bits.
    expect(read([3, 0b10001000, 0b11000110, 0b11111010], 3, 8)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    // Thirteen single bits: a whole byte and a part of one, behind a run.
    const bits = [1, 0, 1, 1, 0, 0, 0, 1, 0, 1, 1, 1, 0]
    expect(read([4, 1, 5, 0b10001101, 0b11101110], 1, 15)).toEqual([1, 1, ...bits])
    expect(read([], 0, 3)).toEqual([0, 0, 0])
    expect(read([2, 0xff, 0xff, 0xff, 0xff], 32, 1)).toEqual([0xffffffff])
    expect(read([3, ...new Array(25).fill(0xff)], 25, 8)).toEqual(new Array(8).fill(2 ** 25 - 1))
  })

  it('refuses bytes that end too early, and runs of nothing', () => {
    for (const bytes of [[], [8], [3, 0], [0, 1], [0x80]]) {
      expect(() => read(bytes, 8, 4), String(bytes)).toThrow(RangeError)
    }
  })
})

describe('a run of levels', () => {
  it('whose value has more bits than it may is refused: there is no such level', () => {
    const read = (value: number, width: number) =>
      readHybrid(Uint8Array.from([8, value]), { start: 0, end: 2 }, { width, count: 4 })
    expect([...read(1, 1)]).toEqual([1, 1, 1, 1])
    expect([...read(3, 2)]).toEqual([3, 3, 3, 3])
    expect(() => read(2, 1)).toThrow(RangeError)
    expect(() => read(4, 2)).toThrow(RangeError)
  })
})

describe('times', () => {
  it('keep every digit, before 1970 and at both ends of the calendar too', () => {
    expect(timestampText(-1n, 'NANOS', true)).toBe('1969-12-31T23:59:59.999999999Z')
    expect(timestampText(0n, 'MILLIS', false)).toBe('1970-01-01T00:00:00.000')
    expect(timestampText(253_402_300_800_000n, 'MILLIS', true)).toBe('+010000-01-01T00:00:00.000Z')
    expect(timestampText(2n ** 63n - 1n, 'MILLIS', true)).toBeUndefined()
    expect(timeText(86_399_999_999n, 'MICROS')).toBe('23:59:59.999999')
    expect(timeText(86_400_000_000n, 'MICROS')).toBeUndefined()
    expect(int96Text(2_440_588n << 64n)).toBe('1970-01-01T00:00:00')
  })
})

describe.skipIf(!hasData('the LaBSE embeddings'))('the LaBSE embeddings', () => {
  it('come out as they are in the file', async () => {
    const { records, plan } = await readFile(`${dataFolder}/labse-queries.parquet`)
    expect(records).toHaveLength(500)
    expect(plan).toMatchObject({
      idColumn: 'id',
      vectorColumns: ['embedding'],
      dimension: 768,
      fields: { lang: 'string', text: 'string', chars: 'integer' },
    })
    for (const record of records) {
      expect([...String(record.payload.get('text'))].length).toBe(record.payload.get('chars'))
      const norm = Math.hypot(...(record.vector ?? []))
      expect(norm).toBeGreaterThan(5)
      expect(norm).toBeLessThan(34)
    }
  })

  it('are read in memory that does not grow with the rows', async () => {
    const bytes = readFileSync(`${dataFolder}/labse-public.parquet`)
    const heldMax = async (skipRows: number): Promise<number> => {
      const input = inMemory('x.parquet', bytes)
      const source = await openSource(input, { metric: 'cosine', skipRows })
      let most = 0
      for await (const batch of source.batches()) {
        const held = batch.records.reduce(
          (sum, record) => sum + (record.vector?.byteLength ?? 0),
          0,
        )
        most = Math.max(most, held)
      }
      return most
    }
    expect(await heldMax(0)).toBeLessThan(8_388_608)
    const before = process.memoryUsage().rss
    await heldMax(10_000)
    await heldMax(10_000)
    expect(process.memoryUsage().rss - before).toBeLessThan(200_000_000)
  })
})
