import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { inMemory, readInput } from './read-all.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1')

function tarOf(content: string): Uint8Array {
  const header = Buffer.alloc(512)
  header.write('rows.jsonl')
  header.write('0000644\0', 100)
  header.write('ustar\x0000', 257)
  return Buffer.concat([header, Buffer.alloc(512, content), Buffer.alloc(1_024)])
}

const row = '{"id":"a","vector":[1,2]}\n'

describe('a file of another format', () => {
  it.each([
    ['an xz file', bytes('\xfd7zXZ\0\0\x04\xe6\xd6\xb4F')],
    ['a bzip2 file', bytes('BZh91AY&SY\x19\x8f')],
    ['an LZ4 file', bytes('\x04"M\x18d@\xa7')],
    ['a file of compress', bytes('\x1f\x9d\x90{D')],
    ['a 7-Zip archive', bytes("7z\xbc\xaf'\x1c\0\x04")],
    ['a ZIP archive', bytes('PK\x03\x04\x14\0\0\0')],
    ['a tar archive', tarOf(row)],
    ['a tar archive', gzipSync(tarOf(row))],
    ['Parquet in gzip or zstd', gzipSync(bytes('PAR1\x15\0\x15'))],
    ['an Arrow file', bytes('ARROW1\0\0\xff\xff\xff\xff\xa8\0\0\0')],
    ['a stream of Arrow', bytes('\xff\xff\xff\xff\xa8\x01\0\0\x10\0\0\0')],
    ['an ORC file', bytes('ORC\x0a\x06\x12\x04\x08')],
    ['an Avro file', bytes('Obj\x01\x04\x16avro.schema')],
    ['an HDF5 file', bytes('\x89HDF\r\n\x1a\n\0\0')],
    ['an array of NumPy', bytes('\x93NUMPY\x01\0v\0')],
    ['a pickle of Python', bytes('\x80\x04\x95\x0a\0\0\0')],
    ['an SQLite database', bytes('SQLite format 3\0\x10\0')],
  ])('is called by its name: %s', async (what, content) => {
    for (const name of ['x.jsonl', 'x.csv', 'x.parquet', 'x']) {
      for (const pieceBytes of [undefined, 3]) {
        const refused = readInput(inMemory(name, content, pieceBytes))
        await expect(refused).rejects.toMatchObject({ code: 'BAD_INPUT' })
        await expect(refused).rejects.toThrow(`${name} is ${what}, which is not read.`)
      }
    }
  })

  it('is not seen in text that begins alike', async () => {
    for (const column of ['BZh9', 'ORC', 'PK', 'Obj', 'ARROW1', '7z', 'SQLite format 3']) {
      const csv = `${column},id,vector\nö,a,"[1,2]"\n`
      const { records } = await readInput(inMemory('x.csv', csv))
      expect(records[0]?.payload.get(column)).toBe('ö')
    }
    const { records } = await readInput(inMemory('x.csv', 'ORC\nb\nä\n'), {
      vectors: false,
      idColumn: 'ORC',
    })
    expect(records.map(({ id }) => id)).toEqual(['b', 'ä'])
  })
})
