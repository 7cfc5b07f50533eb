import { describe, expect, it } from 'vitest'
import { toPlain } from '../../src/core/json.ts'
import { limits } from '../../src/core/limits.ts'
import { hasCode } from '../../src/errors/errors.ts'
import { openSource } from '../../src/ingest/open-source.ts'
import { inMemory, readInput } from './read-all.ts'

const rows = (count: number, dimension = 3): string =>
  Array.from({ length: count }, (_, i) =>
    JSON.stringify({
      id: `r${i}`,
      vector: Array.from({ length: dimension }, (_, j) => i + j + 1),
      n: i,
    }),
  ).join('\n')

describe('JSON lines', () => {
  it('give the same records however the bytes are cut', async () => {
    const text = `\ufeff${rows(20)}\r\n\n  \n{"id":"é","vector":[1,2,3],"s":"\u2028"}`
    const whole = await readInput(inMemory('x.jsonl', text))
    expect(whole.records.map((record) => record.position)).toEqual([
      ...Array.from({ length: 20 }, (_, i) => i + 1),
      23,
    ])
    for (const piece of [1, 2, 3, 5, 17]) {
      const cut = await readInput(inMemory('x.jsonl', text, piece))
      expect(cut.records).toEqual(whole.records)
    }
  })

  it('name the byte at which a line goes wrong', async () => {
    const text = `{"id":"a","vector":[1]}\n{"id":"b","vector":[1],}\n{"id":"c","vector":[1]}\n`
    const { rejects, records } = await readInput(inMemory('x.jsonl', text))
    expect(records.map((record) => record.id)).toEqual(['a', 'c'])
    expect(rejects).toMatchObject([{ line: 2, byte: text.indexOf(',}') + 1, code: 'BAD_JSON' }])
    expect(rejects[0]?.raw).toBe('{"id":"b","vector":[1],}')
  })

  it('are refused one by one above the longest row, and go on behind it', async () => {
    const filler = Buffer.alloc(1_048_576, 'x')
    const pieces = async function* () {
      yield Buffer.from('{"id":"a","vector":[1]}\n{"id":"')
      for (let at = 0; at <= limits.rowBytesMax; at += filler.length) yield filler
      yield Buffer.from('"}\n{"id":"b","vector":[1]}\n')
    }
    const input = { name: 'x.jsonl', stream: pieces, close: async () => {} }
    const { records, rejects } = await readInput(input)
    expect(records.map((record) => [record.id, record.position])).toEqual([
      ['a', 1],
      ['b', 3],
    ])
    expect(rejects).toMatchObject([{ line: 2, code: 'LIMIT' }])
  })

  it('are told from one JSON array and from a pretty-printed object', async () => {
    for (const text of ['[\n{"id":1}\n]', '[{"id":1,"vector":[1]}]', '{\n"id":1\n}']) {
      const error = await readInput(inMemory('x.jsonl', text)).catch((caught: unknown) => caught)
      expect(hasCode(error, 'BAD_INPUT')).toBe(true)
      expect(String(error)).toContain('JSON lines')
    }
  })

  it('keep only the wanted payload, and the texts', async () => {
    const text = '{"id":1,"vector":[1],"a":1,"b":2,"t":"x"}\n{"id":2,"vector":[1],"b":3,"c":4}\n'
    const { records } = await readInput(inMemory('x.jsonl', text), {
      columns: ['b'],
      textColumns: ['t'],
    })
    expect(records.map((record) => toPlain(record.payload))).toEqual([{ b: 2, t: 'x' }, { b: 3 }])
  })

  it('may lack what the collection indexes, and the notes say so', async () => {
    const text = '{"id":1,"vector":[1]}\n{"id":2,"vector":[1],"t":"x"}\n'
    const known = { textColumns: ['t', 'u'], sparseColumns: ['s'], indexedColumns: ['u', 's'] }
    const { records, plan } = await readInput(inMemory('x.jsonl', text), known)
    expect(records).toHaveLength(2)
    expect(plan.textColumns).toEqual(['t', 'u'])
    expect(plan.notes.filter((note) => note.startsWith('No row'))).toEqual([
      'No row has "u", which the collection indexes.',
      'No row has "s", which the collection indexes.',
    ])
    // Those that were named for this file must be there.
    for (const named of [{ textColumns: ['u'] }, { sparseColumns: ['s'] }]) {
      const error = await readInput(inMemory('x.jsonl', text), named).catch((e: unknown) => e)
      expect(hasCode(error, 'USAGE')).toBe(true)
    }
    // Of a longer file the first thousand lines do not tell.
    const long = `${rows(1_001)}\n{"id":"z","vector":[1,2,3],"t":"x","s":{"1":1}}\n`
    const later = await readInput(inMemory('x.jsonl', long), {
      textColumns: ['t'],
      sparseColumns: ['s'],
    })
    expect(later.records).toHaveLength(1_002)
    expect(later.plan.notes.filter((note) => note.startsWith('No row'))).toEqual([])
  })

  it('are refused where a demanded type does not fit', async () => {
    const text =
      '{"id":1,"vector":[1],"a":1}\n{"id":2,"vector":[1],"a":"1"}\n{"id":3,"vector":[1],"a":null}\n'
    const { records, rejects } = await readInput(inMemory('x.jsonl', text), {
      types: { a: 'integer' },
    })
    expect(records.map((record) => record.id)).toEqual(['1', '3'])
    expect(rejects).toMatchObject([{ id: '2', column: 'a', code: 'TYPE' }])
  })

  it('may hold one component a key', async () => {
    const text = '{"id":1,"x1":1,"x0":2}\n{"id":2,"x0":1}\n'
    const { records, rejects } = await readInput(inMemory('x.jsonl', text), { vectorColumns: 'x*' })
    expect([...(records[0]?.vector ?? [])]).toEqual([2, 1])
    expect(rejects).toMatchObject([{ id: '2', column: 'x1', code: 'NO_VECTOR' }])
  })
})

describe('batches', () => {
  it('hold at most 1,024 rows and count what was read', async () => {
    for (const count of [1_023, 1_024, 1_025]) {
      const source = await openSource(inMemory('x.jsonl', rows(count)), { metric: 'l2' })
      const sizes: number[] = []
      let rowsRead = 0
      for await (const batch of source.batches()) {
        sizes.push(batch.records.length)
        rowsRead = batch.rowsRead
      }
      expect(rowsRead).toBe(count)
      expect(sizes[0]).toBe(Math.min(count, limits.batchRowsMax))
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(count)
    }
  })

  it('end near 4 MiB where rows are wide', async () => {
    const source = await openSource(inMemory('x.jsonl', rows(60, 16_384)), { metric: 'l2' })
    for await (const batch of source.batches()) expect(batch.records.length).toBeLessThan(50)
  })

  it('leave out the rows that a resumed read has', async () => {
    const text = `${rows(10)}\nbroken\n${rows(10)}`
    for (const skipRows of [0, 1, 10, 11, 20, 21, 22]) {
      const { records, rejects, rowsRead } = await readInput(inMemory('x.jsonl', text), {
        skipRows,
      })
      expect(records.length + rejects.length).toBe(Math.max(0, 21 - skipRows))
      expect(rowsRead).toBe(21)
    }
  })

  it('stop when the reader is told to', async () => {
    const abort = new AbortController()
    const source = await openSource(inMemory('x.jsonl', rows(5_000)), { metric: 'l2' })
    const reading = (async () => {
      for await (const _ of source.batches(abort.signal)) abort.abort(new Error('enough'))
    })()
    await expect(reading).rejects.toThrow('enough')
  })

  it('are read no faster than they are taken', async () => {
    let given = 0
    const piece = Buffer.from(`${rows(100)}\n`)
    const pieces = async function* () {
      for (; given < 1_000; given++) yield piece
    }
    const source = await openSource(
      { name: 'x.jsonl', stream: pieces, close: async () => {} },
      { metric: 'l2' },
    )
    const batches = source.batches()[Symbol.asyncIterator]()
    await batches.next()
    expect(given).toBeLessThan(50)
    await batches.return?.()
  })
})
