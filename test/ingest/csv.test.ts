import { describe, expect, it } from 'vitest'
import { toPlain } from '../../src/core/json.ts'
import { hasCode } from '../../src/errors/errors.ts'
import type { ReadOptions } from '../../src/ingest/records.ts'
import { inMemory, readFile, readInput } from './read-all.ts'
import { dataFolder, hasData } from './shared-data.ts'

const text = { textColumns: ['t'] }
const read = (csv: string, options: Partial<ReadOptions> = text) =>
  readInput(inMemory('x.csv', csv), options)
const payloads = async (csv: string, options: Partial<ReadOptions> = text) =>
  (await read(csv, options)).records.map((record) => toPlain(record.payload))

describe('types of CSV columns', () => {
  it('are guessed from canonical forms alone', async () => {
    const csv = [
      'id,t,int,float,mixed,bool,zip,plus,huge,long',
      'a,x,1,1.5,1,true,01234,+1,18446744073709551616,0.12345678901234567890',
      'b,y,-2,2e3,1.5,false,5,2,1,1',
      'c,,,,,,,,,',
    ].join('\n')
    const { plan, records } = await read(csv)
    expect(plan.fields).toEqual({
      t: 'string',
      int: 'integer',
      float: 'float',
      mixed: 'float',
      bool: 'boolean',
      zip: 'string',
      plus: 'string',
      huge: 'string',
      long: 'string',
    })
    expect(plan.notes.join(' ')).toContain('"int" integer')
    expect(toPlain(records[0]?.payload ?? null)).toEqual({
      t: 'x',
      int: 1,
      float: 1.5,
      mixed: 1,
      bool: true,
      zip: '01234',
      plus: '+1',
      huge: '18446744073709551616',
      long: '0.12345678901234567890',
    })
    expect([...(records[2]?.payload.values() ?? [])].every((value) => value === null)).toBe(true)
  })

  it('keep 64-bit integers exact', async () => {
    const csv = 'id,t,n\na,x,9007199254740993\nb,x,18446744073709551615\nc,x,-9223372036854775808\n'
    expect((await payloads(csv)).map((payload) => (payload as { n: unknown }).n)).toEqual([
      9007199254740993n,
      18446744073709551615n,
      -9223372036854775808n,
    ])
  })

  it('round no whole number that stands among floats', async () => {
    const csv = 'id,t,n,m\na,x,1.5,1.5\nb,x,9007199254740993,9007199254740992\n'
    const { plan, records, warnings } = await read(csv)
    expect(plan.fields).toMatchObject({ n: 'float', m: 'float' })
    expect(records.map(({ payload }) => payload.get('n'))).toEqual([1.5, '9007199254740993'])
    expect(records[1]?.payload.get('m')).toBe(2 ** 53)
    expect(warnings.get('TYPE_MISFIT')).toBe(1)
    const demanded = await read(csv, { ...text, types: { n: 'float' } })
    expect(demanded.rejects).toMatchObject([{ id: 'b', column: 'n', code: 'TYPE' }])
  })

  it('leave a later misfit as text and count it, unless the type was demanded', async () => {
    const rows = Array.from({ length: 10_000 }, (_, i) => `r${i},x,${i}`).join('\n')
    const csv = `id,t,n\n${rows}\nlate,x,many\n`
    const guessed = await read(csv)
    expect(guessed.plan.fields.n).toBe('integer')
    expect(guessed.warnings.get('TYPE_MISFIT')).toBe(1)
    expect(guessed.records.at(-1)?.payload.get('n')).toBe('many')
    const demanded = await read(csv, { ...text, types: { n: 'integer' } })
    expect(demanded.records).toHaveLength(10_000)
    expect(demanded.rejects).toMatchObject([
      { line: 10_002, id: 'late', column: 'n', code: 'TYPE' },
    ])
  })

  it('follow a demand and what the collection has already', async () => {
    const csv = 'id,t,zip,n\na,x,1234,5\n'
    const options = { ...text, types: { zip: 'string' as const }, fields: { n: 'string' as const } }
    expect(await payloads(csv, options)).toEqual([{ t: 'x', zip: '1234', n: '5' }])
  })

  it('tell an unquoted empty cell, which is null, from a quoted one', async () => {
    expect(await payloads('id,t,u\na,,""\nb,"",\n')).toEqual([
      { t: null, u: '' },
      { t: '', u: null },
    ])
  })
})

describe('CSV places', () => {
  it('are physical lines and bytes, through empty lines, CRLF and quoted line breaks', async () => {
    const rows = [
      'id,t,n',
      '',
      'a,"x\r\ny\nz",1',
      '\r',
      'b,é,1',
      '"c","lone \r return",1',
      'd,5,1,2',
    ]
    const csv = `\ufeff${rows.join('\n')}\n\n\ne,1\n`
    const { records, rejects } = await read(csv)
    expect(records.map((record) => [record.id, record.position])).toEqual([
      ['a', 3],
      ['b', 7],
      ['c', 8],
    ])
    const bytes = Buffer.from(csv)
    expect(rejects.map((reject) => [reject.id, reject.line, reject.byte, reject.code])).toEqual([
      ['d', 9, bytes.indexOf('d,5'), 'FIELD_COUNT'],
      ['e', 12, bytes.indexOf('e,1'), 'FIELD_COUNT'],
    ])
    expect(rejects[0]?.raw).toBe('d,5,1,2\n')
  })

  it('are named where a quote never closes', async () => {
    const error = await read('id,t\na,x\nb,"open\nc,y\n').catch((caught: unknown) => caught)
    expect(hasCode(error, 'BAD_INPUT')).toBe(true)
    expect(String(error)).toMatch(/line 3 .*never closed/)
  })
})

describe('CSV separators', () => {
  it.each([
    [',', 'id,t\na,"x;y"\n'],
    [';', 'id;t\na;x,y\n'],
    ['\t', 'id\tt\na\tx,y;z\n'],
    ['|', 'id|t\na|x,y\n'],
  ])('%j is found', async (separator, csv) => {
    const { plan, records } = await read(csv)
    expect(plan.separator).toBe(separator)
    expect(records).toHaveLength(1)
  })

  it('are taken as given', async () => {
    const { records } = await read('id:t,u\na:x,y\n', { textColumns: ['t,u'], separator: ':' })
    expect(records[0]?.payload.get('t,u')).toBe('x,y')
    await expect(read('id,t\n', { ...text, separator: '""' })).rejects.toThrow(/separator/)
  })
})

describe('CSV vectors', () => {
  it('are taken from columns ordered by number, from 0 or 1', async () => {
    const { records, plan } = await read(
      'id,v10,v1,v2,v3,v4,v5,v6,v7,v8,v9\na,10,1,2,3,4,5,6,7,8,9\n',
      {
        vectorColumns: 'v*',
      },
    )
    expect([...(records[0]?.vector ?? [])]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    expect(plan.dimension).toBe(10)
  })

  it.each([
    ['a gap', 'id,v0,v2\n', /v1 is missing/],
    ['a number twice', 'id,v1,v01\n', /Two columns have the number 1/],
    ['a start at 2', 'id,v2,v3\n', /v1 is missing/],
    ['a column without a number', 'id,v0,vx\n', /no number in its name/],
    ['no match', 'id,w0\n', /No column matches/],
  ])('are refused for %s', async (_, csv, message) => {
    await expect(read(csv, { vectorColumns: 'v*' })).rejects.toThrow(message)
  })

  it('need a column or texts, and the error names the columns', async () => {
    const error = await read('id,a,b\n1,2,3\n', {}).catch((caught: unknown) => caught)
    expect(hasCode(error, 'USAGE')).toBe(true)
    expect(String(error)).toContain('"id", "a", "b"')
  })

  it('are left out of a collection without vectors', async () => {
    const { records, plan } = await read('id,t,vector\na,x,[1]\n', { ...text, vectors: false })
    expect(records[0]?.vector).toBeUndefined()
    expect([...(records[0]?.payload.keys() ?? [])]).toEqual(['t'])
    expect(plan.notes.join(' ')).toContain('left out')
  })
})

it('takes the row number for the id where the caller allows it', async () => {
  const { records } = await read('t\nx\ny\n', { ...text, idFromRow: true })
  expect(records.map((record) => record.id)).toEqual(['0', '1'])
})

describe.skipIf(!hasData('the Cranfield abstracts'))('the Cranfield abstracts', () => {
  it('are the same records as CSV and as JSON lines', async () => {
    const options = { textColumns: ['title', 'text'] }
    const csv = await readFile(`${dataFolder}/cranfield/docs.csv`, options)
    const jsonl = await readFile(`${dataFolder}/cranfield/docs.jsonl`, options)
    expect(csv.records).toHaveLength(1_400)
    expect(csv.records.map((record) => record.id)).toEqual(jsonl.records.map((record) => record.id))
    // An empty cell is null, an empty JSON text is not.
    const texts = (records: typeof csv.records) =>
      records.map((record) => [...record.payload].map(([name, value]) => [name, value ?? '']))
    expect(texts(csv.records)).toEqual(texts(jsonl.records))
  })
})
