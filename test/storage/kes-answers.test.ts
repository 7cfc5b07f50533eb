import { describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import {
  readDataKey,
  readKey,
  readKeyPage,
  readPlaintext,
  readStatus,
  readVersion,
} from '../../src/storage/kes/kes-answers.ts'

const JSON_TYPE = 'application/json'
const answer = (body: string, contentType = JSON_TYPE) => ({ contentType, body })
const statusOf = (uptime: string) => answer(`{"version":"v","uptime":${uptime}}`)
const KEY = Buffer.alloc(32, 1).toString('base64')
const keyOf = (ciphertext: string) => answer(`{"plaintext":"${KEY}","ciphertext":${ciphertext}}`)
const base64 = (bytes: number): string => `"${Buffer.alloc(bytes).toString('base64')}"`

describe('an answer of KES', () => {
  it.each([
    ['no JSON', 'hello'],
    ['half of one', '{"version":"20'],
    ['nothing', ''],
    ['null', 'null'],
    ['a list', '[]'],
    ['no version', '{}'],
    ['a version of another type', '{"version":7}'],
    ['a version of two lines', '{"version":"a\\nb"}'],
    ['an empty version', '{"version":""}'],
    ['a version too long', `{"version":"${'x'.repeat(513)}"}`],
  ])('is no version where it is %s', (_, body) => {
    expect(() => readVersion(answer(body))).toThrow(/not that of a KES server/)
  })

  it.each([
    ['status', () => readStatus(statusOf('"90"'))],
    ['status', () => readStatus(statusOf('-1'))],
    ['status', () => readStatus(statusOf('1,"keystore_unreachable":"no"'))],
    ['status', () => readStatus(statusOf('1,"keystore_latency":"1ms"'))],
    ['key', () => readKey(answer('{"name":"b"}'), 'a')],
    ['key', () => readKey(answer('{"name":"a","created_at":5}'), 'a')],
    ['key', () => readKey(answer('{"name":"a","algorithm":5}'), 'a')],
    ['page', () => readKeyPage(answer('{"names":"a"}'))],
    ['page', () => readKeyPage(answer('{"names":["a",5]}'))],
    ['page', () => readKeyPage(answer('{"names":["a\\u0007"]}'))],
    ['page', () => readKeyPage(answer('{"names":[],"continue_at":5}'))],
    ['page', () => readKeyPage(answer('{}'))],
    ['page', () => readKeyPage(answer(''))],
    ['page', () => readKeyPage(answer('{"error":"lost"}\n', 'application/x-ndjson'))],
    ['data key', () => readDataKey(answer(`{"plaintext":"${KEY}"}`))],
    ['data key', () => readDataKey(keyOf('""'))],
    ['data key', () => readDataKey(keyOf('"!!"'))],
    ['data key', () => readDataKey(keyOf('null'))],
    ['data key', () => readDataKey(keyOf(base64(limits.kesSealedBytesMax + 1)))],
    ['data key', () => readDataKey(answer('{"plaintext":"AAAA","ciphertext":"AAAA"}'))],
    ['data key', () => readDataKey(answer(`{"plaintext":["${KEY}"],"ciphertext":"AAAA"}`))],
    ['plaintext', () => readPlaintext(answer(`{"plaintext":${base64(31)}}`))],
    ['plaintext', () => readPlaintext(answer(`{"plaintext":${base64(33)}}`))],
    ['plaintext', () => readPlaintext(answer(`{"plaintext":"${KEY.slice(0, -1)}"}`))],
    ['plaintext', () => readPlaintext(answer('{}'))],
  ] as const)('is no %s of another form: %s', (_, read) => {
    expect(read).toThrow(/not that of a KES server/)
  })

  it('may hold more than we know of', () => {
    expect(readVersion(answer('{"version":"v","x":1}\n'))).toBe('v')
    expect(readStatus(statusOf('90,"keystore_latency":2,"os":"linux"'))).toEqual({
      ...{ version: 'v', uptimeMs: 90_000, keyStoreReachable: true, keyStoreLatencyMs: 2 },
    })
    const longest = keyOf(base64(limits.kesSealedBytesMax))
    expect(readDataKey(longest).ciphertext).toHaveLength(limits.kesSealedBytesMax)
  })

  it('tells of a key store that is lost, and older servers their age in nanoseconds', () => {
    for (const word of ['unreachable', 'unavailable']) {
      expect(readStatus(statusOf(`1,"keystore_latency":1,"keystore_${word}":true`))).toEqual({
        ...{ version: 'v', uptimeMs: 1_000, keyStoreReachable: false },
      })
    }
    expect(readStatus(statusOf('90000000000'))).toMatchObject({ uptimeMs: 90_000 })
  })

  it('has times of any zone, and knows when it knows none', () => {
    const timeOf = (created_at: string) =>
      readKey(answer(JSON.stringify({ name: 'a', created_at })), 'a').createdAt
    expect(timeOf('2026-01-02T03:04:05.678901234+02:00')).toBe('2026-01-02T01:04:05.678Z')
    expect(timeOf('0001-01-01T00:00:00Z')).toBeUndefined()
    expect(timeOf('yesterday')).toBeUndefined()
    expect(readKey(answer('{"name":"a"}'), 'a')).toEqual({ id: 'a' })
  })

  it('lists names as a page, as Go writes an empty list, and as lines of older servers', () => {
    const page = '{"names":["a"],"continue_at":"b"}'
    expect(readKeyPage(answer(page))).toEqual({ ids: ['a'], continueAt: 'b' })
    expect(readKeyPage(answer('{"names":null,"continue_at":""}'))).toEqual({ ids: [] })
    const lines = '{"name":"b"}\n{"name":"a"}\n'
    expect(readKeyPage(answer(lines, 'application/x-ndjson'))).toEqual({ ids: ['a', 'b'] })
    expect(readKeyPage(answer('', 'text/plain'))).toEqual({ ids: [] })
  })
})
