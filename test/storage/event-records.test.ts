import { describe, expect, it } from 'vitest'
import { eventLines } from '../../src/storage/events/event-lines.ts'
import { readNotification } from '../../src/storage/events/event-records.ts'
import { gather } from '../support/s3.ts'

const place = { bucket: 'bucket', prefix: 'a+b/', below: 'collections/' }
const MANIFEST = 'collections/docs/manifests/1.json'

const record = (
  key: unknown,
  { name = 's3:ObjectCreated:Put', bucket = 'bucket' as unknown } = {},
) => ({
  eventName: name,
  s3: { bucket: { name: bucket }, object: { key } },
})
const read = (...records: unknown[]) =>
  readNotification(JSON.stringify({ Records: records }), place)

describe('a notification', () => {
  it('names keys as they are, or encoded as in a query', () => {
    const event = { kind: 'created', key: MANIFEST }
    expect(read(record(`a+b/${MANIFEST}`))).toEqual([event])
    expect(read(record(encodeURIComponent(`a+b/${MANIFEST}`)))).toEqual([event])
    expect(read(record(`a%2bb%2F${MANIFEST.replaceAll('/', '%2F')}`))).toEqual([event])
  })

  it('tells what came from what went, under all names that there are', () => {
    const names = ['s3:ObjectRemoved:DeleteMarkerCreated', 'ObjectCreated:CompleteMultipartUpload']
    const records = names.map((name) => record(`a+b/${MANIFEST}`, { name }))
    expect(read(...records)?.map(({ kind }) => kind)).toEqual(['removed', 'created'])
  })

  it('is passed over where it is of another bucket, key or kind', () => {
    const others = [
      record('a b/collections/docs/manifests/1.json'),
      record('a%20b%2Fcollections%2Fx'),
      record('a+b/blobs/0/aa/x'),
      record('a+b/collections'),
      record('a+b/collections/../../x'),
      record('a+b/collections//x'),
      record('a+b/collections/é'),
      record('a+b/collections/\u0000'),
      record(`a+b/${MANIFEST}`, { bucket: 'other' }),
      record(`a+b/${MANIFEST}`, { name: 's3:ObjectAccessed:Get' }),
      record(`a+b/${MANIFEST}`, { name: 's3:ObjectCreated:Put\n' }),
      record(''),
    ]
    expect(read(...others)).toEqual([])
    expect(read(...others, record(`a+b/${MANIFEST}`))).toHaveLength(1)
  })

  it('is a sign of life without records', () => {
    expect(readNotification('{"Records":null}', place)).toEqual([])
    expect(read()).toEqual([])
  })

  it('is none where anything of it has another form', () => {
    const texts = [
      '',
      '{',
      '[]',
      'null',
      '7',
      '"Records"',
      '{}',
      '{"Records":{}}',
      '{"records":[]}',
    ]
    texts.push('{"__proto__":{"Records":[]}}', '['.repeat(100_000), '{"Records":[null]}')
    for (const text of texts)
      expect(readNotification(text, place), text.slice(0, 40)).toBe(undefined)
    const good = record(`a+b/${MANIFEST}`)
    const bad = [{}, [], 7, record(7), record(['a']), record('a+b%2Fcollections%2F%E0%A4')]
    bad.push(record('x'.repeat(4_000)), record('k', { bucket: 7 }), { ...good, s3: null })
    for (const each of bad)
      expect(read(good, each), JSON.stringify(each).slice(0, 60)).toBe(undefined)
  })
})

describe('lines of a stream', () => {
  const linesOf = (pieces: readonly string[], bytesMax: number) =>
    gather(
      eventLines(
        (async function* () {
          for (const piece of pieces) yield Buffer.from(piece)
        })(),
        bytesMax,
      ),
    )

  it('are cut at LF wherever the pieces end, without blanks and empty lines', async () => {
    const whole = '  ab \n\n \r\ncd\r\n \né\nrest'
    for (let at = 0; at <= Buffer.byteLength(whole); at++) {
      const bytes = Buffer.from(whole)
      const pieces = [bytes.subarray(0, at), bytes.subarray(at)]
      const lines = await gather(
        eventLines(
          (async function* () {
            yield* pieces
          })(),
          8,
        ),
      )
      expect(lines).toEqual([{ text: 'ab' }, { text: 'cd' }, { text: 'é' }])
    }
  })

  it('may be as long as the limit, and a longer one is told of, once', async () => {
    expect(await linesOf(['abcd\n', 'abcde\nx\n'], 4)).toEqual([
      { text: 'abcd' },
      { tooLong: true },
      { text: 'x' },
    ])
    expect(await linesOf(['ab', 'cd', 'ef', 'gh\nx\n'], 4)).toEqual([
      { tooLong: true },
      { text: 'x' },
    ])
    expect(await linesOf(['abcdefgh'], 4)).toEqual([])
  })
})
