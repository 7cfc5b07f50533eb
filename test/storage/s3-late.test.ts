import type { IncomingMessage } from 'node:http'
import { afterEach, expect, it } from 'vitest'
import type { Clock } from '../../src/core/clock.ts'
import { createMemoryStore } from '../../src/storage/memory-store.ts'
import { isTooLate, type ObjectStore } from '../../src/storage/object-store.ts'
import { openS3Store } from '../../src/storage/s3/s3-store.ts'
import { type FakeAnswer, type FakeServer, noPauses, startFakeServer } from '../support/s3.ts'

// Between machines time decides: what was decided on what was true half an hour ago must not be
// sent now, with the date of now.

const MINUTE_MS = 60_000
const open: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

const isThere: FakeAnswer = { headers: { etag: '"e"', 'last-modified': new Date(0).toUTCString() } }
const head: FakeAnswer = { headers: { ...isThere.headers, 'content-length': 1 } }

/** A store whose machine sleeps, for so long, at its next pause between two tries. */
async function openLate(answer: (request: IncomingMessage) => FakeAnswer | undefined) {
  const server: FakeServer = await startFakeServer(async (request) =>
    request.method === 'HEAD' ? head : answer(request),
  )
  open.push(server)
  let nowMs = Date.now()
  const machine = { sleepMs: 0 }
  const clock: Clock = {
    nowMs: () => nowMs,
    sleep: async (ms) => {
      nowMs += ms + machine.sleepMs
    },
  }
  const store = await openS3Store('s3://bucket/p', {
    ...{ endpoint: server.url, accessKey: 'a', secretKey: 's', clock, random: noPauses },
    spool: () => createMemoryStore({ clock }),
  })
  open.push(store)
  return { server, store, machine, nowMs: () => nowMs }
}

/** What may be too late. */
type Change = (store: ObjectStore, notAfterMs: number, onDoubt: () => void) => Promise<unknown>
const changes: readonly (readonly [string, string, Change])[] = [
  ['PUT', 'created', (store, notAfterMs) => store.put('k', Buffer.from('x'), { notAfterMs })],
  [
    'PUT',
    'replaced',
    (store, notAfterMs) => store.put('k', Buffer.from('x'), { notAfterMs, mode: 'replace' }),
  ],
  ['DELETE', 'deleted', (store, notAfterMs, onDoubt) => store.delete('k', { notAfterMs, onDoubt })],
]

const none = () => undefined

for (const [method, what, change] of changes) {
  it(`is not ${what} by a try that begins late, and says that it may be`, async () => {
    const answers = [undefined, { ...isThere, status: method === 'PUT' ? 200 : 204 }]
    const { server, store, machine, nowMs } = await openLate(() => answers.shift())
    machine.sleepMs = 3 * 24 * 60 * MINUTE_MS
    let doubts = 0
    const late = change(store, nowMs() + 30 * MINUTE_MS, () => doubts++)
    // Not "too late": the first try may have been carried out.
    const error: unknown = await late.then(none, (caught) => caught)
    expect(error).toMatchObject({ code: 'UNREACHABLE' })
    expect(isTooLate(error)).toBe(false)
    expect(server.requests.filter((one) => one.startsWith(method))).toHaveLength(1)
    expect(doubts).toBe(method === 'DELETE' ? 1 : 0)
  })

  it(`is ${what} by a second try in time`, async () => {
    const answers = [
      { status: 503 },
      { ...isThere, status: method === 'PUT' ? 200 : 204 } as FakeAnswer,
    ]
    const { server, store, machine, nowMs } = await openLate(() => answers.shift())
    machine.sleepMs = 1_000
    expect(await change(store, nowMs() + 30 * MINUTE_MS, none)).toBeTruthy()
    expect(server.requests.filter((one) => one.startsWith(method))).toHaveLength(2)
  })

  it(`is not ${what} where it is too late from the first`, async () => {
    const { server, store, nowMs } = await openLate(() => isThere)
    const error: unknown = await change(store, nowMs() - 1, none).then(none, (caught) => caught)
    expect(isTooLate(error)).toBe(true)
    expect(server.requests.filter((one) => one.startsWith(method))).toEqual([])
  })
}
