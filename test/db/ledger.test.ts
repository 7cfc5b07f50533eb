import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sha256Hex } from '../../src/core/digest.ts'
import { limits } from '../../src/core/limits.ts'
import type { IngestRequest } from '../../src/db/api/api.ts'
import { runIngest } from '../../src/db/ingest/ingest-run.ts'
import type { LedgerEntry } from '../../src/db/ingest/ledger-entry.ts'
import { blobKey } from '../../src/format/blob.ts'
import type { BlobRef } from '../../src/format/manifest.ts'
import { cloneMachine, createTestMachine, type TestMachine } from '../support/memory-environment.ts'
import { recordsOf } from '../support/records.ts'

const SEGMENT_ROWS = 2_000
const KEPT_BYTES = 1024 * 1024
const ROWS = 9_500

/** Which rows of a file are bad. */
const FILES = {
  /** One now and then, also behind the last place that the ledger names. */
  mixed: (n: number): boolean => n % 500 === 69 && n < 8_000,
  /** All before the first place that the ledger names. */
  early: (n: number): boolean => n < 5,
}
type Kind = keyof typeof FILES

const badRows = (kind: Kind): number =>
  Array.from({ length: ROWS }, (_, n) => FILES[kind](n)).filter(Boolean).length

let folder = ''
const fileOf = (name: string): string => join(folder, `${name}.jsonl`)

beforeAll(() => {
  const small = { segmentRowsMax: SEGMENT_ROWS, keptInputBytesMax: KEPT_BYTES, packBytesMax: 1 }
  Object.assign(limits, small)
  folder = mkdtempSync(join(tmpdir(), 'akidb-ledger-'))
  for (const kind of ['mixed', 'early'] as const) {
    writeFileSync(fileOf(kind), lines(FILES[kind]).join(''))
  }
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Rows of 2-d vectors. */
const lines = (isBad: (n: number) => boolean): string[] =>
  Array.from({ length: ROWS }, (_, n) =>
    isBad(n) ? `{"id":"bad${n}"}\n` : `{"id":"r${n}","vector":[${n + 1},1],"n":${n}}\n`,
  )

const notes: string[] = []
const take = (machine: TestMachine, options: Partial<IngestRequest> = {}) => {
  notes.length = 0
  const onNote = (note: string): void => void notes.push(note)
  const request = { inputs: [fileOf('mixed')], noIndex: true, maxRejects: ROWS, onNote, ...options }
  return runIngest(machine.start().core('docs'), request)
}

interface Interrupted {
  readonly machine: TestMachine
  /** The records of a run that was not interrupted, as JSON. */
  readonly whole: string
  readonly stateRoot: string
  readonly rejects: string
}

const made = new Map<Kind, Interrupted>()

/** A store with a half-done ingest, made once: every test works on a copy of its own. */
async function interrupted(kind: Kind = 'mixed'): Promise<Interrupted> {
  const known = made.get(kind) ?? (await makeInterrupted(kind))
  made.set(kind, known)
  return { ...known, machine: await cloneMachine(known.machine) }
}

async function makeInterrupted(kind: Kind): Promise<Interrupted> {
  const inputs = [fileOf(kind)]
  const other = createTestMachine({ seed: 5 })
  const { stateRoot } = await take(other, { inputs })
  const whole = JSON.stringify(await recordsOf(other.start().core('docs')))
  const machine = createTestMachine()
  const stop = new AbortController()
  const onProgress = ({ rows = 0 }: { rows?: number }): void => {
    if (rows > 8_500) stop.abort(new Error('stopped'))
  }
  const stopped = take(machine, { inputs, signal: stop.signal, onProgress })
  await expect(stopped).rejects.toThrow('stopped')
  const rejects = await textOf(other, await rejectsKeyIn(other))
  return { machine, whole, stateRoot, rejects }
}

const keysIn = async ({ state }: TestMachine, prefix: string): Promise<string[]> => {
  const keys: string[] = []
  for await (const { key } of state.list(prefix)) keys.push(key)
  return keys
}

const textOf = async ({ state }: TestMachine, key: string): Promise<string> =>
  Buffer.from(await state.get(key)).toString('utf8')

async function rejectsKeyIn(machine: TestMachine): Promise<string> {
  const [key = ''] = await keysIn(machine, 'rejects/')
  return key
}

type Change = (entries: LedgerEntry[]) => LedgerEntry[]

/** Writes the ledger anew, each line with the digest that it then has. */
async function tamper(machine: TestMachine, change: Change): Promise<void> {
  const [key = ''] = await keysIn(machine, 'ledger/')
  const [header = '', ...lines] = (await textOf(machine, key)).split('\n')
  const entries = lines
    .filter((line) => line !== '')
    .map((line): LedgerEntry => JSON.parse(line.split('\t')[0] ?? ''))
  expect(entries.length).toBeGreaterThanOrEqual(3)
  const changed = change(entries).map((entry) => {
    const json = JSON.stringify(entry)
    return `${json}\t${sha256Hex(Buffer.from(json)).slice(0, 16)}\n`
  })
  const body = Buffer.from(`${header}\n${changed.join('')}`)
  await machine.state.put(key, body, { mode: 'replace' })
}

/** The last entry with other numbers. */
const last =
  (change: (entry: LedgerEntry) => Partial<LedgerEntry>): Change =>
  (entries) =>
    entries.map((entry, i) => (i === entries.length - 1 ? { ...entry, ...change(entry) } : entry))

const rowsOf = (entry: LedgerEntry, more: number): Pick<LedgerEntry, 'segment'> => ({
  segment: { ...entry.segment, rows: entry.segment.rows + more },
})

const withoutNames = ({ segment }: LedgerEntry): LedgerEntry['segment'] => ({
  ...segment,
  blobs: segment.blobs.map((ref) => ({ ...ref, digest: '' })),
})

const DISTRUSTED = /^\d segments of an interrupted ingest do not fit: they are read again$/
const FROM_THE_START = /does not fit it: .*: it is read from its start$/

/** How a ledger lies, and what the operator is told. */
const LIES: readonly [string, Change, RegExp][] = [
  ['rows that were never read', last((e) => ({ rowsRead: e.rowsRead + 5 })), DISTRUSTED],
  ['fewer rows than were read', last((e) => ({ rowsRead: e.rowsRead - 5 })), DISTRUSTED],
  ['more rows to drop', last((e) => ({ drop: e.drop + 3 })), DISTRUSTED],
  ['fewer rows to drop', last((e) => ({ drop: e.drop - 3 })), DISTRUSTED],
  ['more rejects', last((e) => ({ rejected: e.rejected + 1 })), DISTRUSTED],
  [
    'rejects instead of rows',
    last((e) => ({ rowsRead: e.rowsRead + 9, rejected: e.rejected + 9 })),
    DISTRUSTED,
  ],
  [
    'rows instead of rejects',
    last((e) => ({ rowsRead: e.rowsRead - 2, rejected: e.rejected - 2 })),
    DISTRUSTED,
  ],
  ['no rejects file', last(() => ({ rejectBytes: 0 })), DISTRUSTED],
  ['half a line of rejects', last((e) => ({ rejectBytes: e.rejectBytes - 4 })), DISTRUSTED],
  ['a longer rejects file', last((e) => ({ rejectBytes: e.rejectBytes + 2 ** 40 })), DISTRUSTED],
  [
    'more rows in a segment',
    last((e) => ({ ...rowsOf(e, 7), rowsRead: e.rowsRead + 7 })),
    DISTRUSTED,
  ],
  [
    'fewer rows in a segment',
    last((e) => ({ ...rowsOf(e, -7), rowsRead: e.rowsRead - 7 })),
    DISTRUSTED,
  ],
  [
    'a segment of another file',
    (entries) => entries.map((e, i) => (i === 1 ? { ...e, segment: at(entries, 0).segment } : e)),
    DISTRUSTED,
  ],
  ['a segment twice', (entries) => [at(entries, 0), ...entries], DISTRUSTED],
  ['a segment less', (entries) => entries.filter((_, i) => i !== 1), DISTRUSTED],
  ['another order', (entries) => entries.toReversed(), DISTRUSTED],
  ['a blob without a name', last((e) => ({ segment: withoutNames(e) })), /^going on/],
  ['half a row', last((e) => ({ drop: e.drop + 0.5, rejected: e.rejected + 0.5 })), /^going on/],
  // These add up: only the rows themselves can tell.
  [
    'a later place with fewer rows to drop',
    last((e) => ({ rowsRead: e.rowsRead + e.drop, drop: 0 })),
    FROM_THE_START,
  ],
  [
    'an earlier place with more rows to drop',
    last((e) => ({ rowsRead: e.rowsRead - 700, drop: e.drop + 700 })),
    FROM_THE_START,
  ],
]

const at = (entries: readonly LedgerEntry[], i: number): LedgerEntry => {
  const entry = entries[i]
  if (entry === undefined) throw new Error(`there is no entry ${i}`)
  return entry
}

describe('an interrupted ingest', () => {
  async function endsAsIfNothingHadBeen({ machine, whole, stateRoot, rejects }: Interrupted) {
    const result = await take(machine)
    const rejected = badRows('mixed')
    const expected = { inserted: ROWS - rejected, updated: 0, rejected }
    expect(result).toMatchObject(expected)
    expect(JSON.stringify(await recordsOf(machine.start().core('docs')))).toBe(whole)
    expect(result.stateRoot).toBe(stateRoot)
    expect(await textOf(machine, await rejectsKeyIn(machine))).toBe(rejects)
    expect(await keysIn(machine, 'ledger/')).toEqual([])
  }

  it('goes on from a ledger that says the truth', async () => {
    const run = await interrupted()
    await endsAsIfNothingHadBeen(run)
    expect(notes).toContainEqual(expect.stringMatching(/^going on .*: 4 segments are finished$/))
  })

  it.each(LIES)('whose ledger says %s ends as if there were none', async (_, change, note) => {
    const run = await interrupted()
    await tamper(run.machine, change)
    await endsAsIfNothingHadBeen(run)
    expect(notes).toContainEqual(expect.stringMatching(note))
  })

  it('whose rejects file is gone, longer or shorter reads the rows behind it again', async () => {
    for (const change of [
      (): undefined => undefined,
      (body: Uint8Array) => body.subarray(0, 300),
      (body: Uint8Array) => Buffer.concat([Buffer.from('\n'), body]),
    ]) {
      const run = await interrupted()
      const key = await rejectsKeyIn(run.machine)
      const body = change(await run.machine.state.get(key))
      if (body === undefined) await run.machine.state.delete(key)
      else await run.machine.state.put(key, body, { mode: 'replace' })
      await endsAsIfNothingHadBeen(run)
    }
  })

  it('reads the rows of a segment again of which a blob is gone, cut or altered', async () => {
    const run = await interrupted()
    let blobs: readonly BlobRef[] = []
    await tamper(run.machine, (entries) => {
      blobs = at(entries, 1).segment.blobs
      return entries
    })
    const changes: readonly ((body: Uint8Array) => Uint8Array | undefined)[] = [
      () => undefined,
      (body) => body.subarray(0, 300),
      (body) => Buffer.from(body).fill(7, 100, 101),
    ]
    expect(blobs.length).toBeGreaterThan(5)
    for (const [i, { digest, role }] of blobs.entries()) {
      const again = await interrupted()
      const key = blobKey(digest)
      const body = changes[i % changes.length]?.(await again.machine.store.get(key))
      if (body === undefined) await again.machine.store.delete(key)
      else await again.machine.store.put(key, body, { mode: 'replace' })
      await endsAsIfNothingHadBeen(again)
      expect(notes, role).toContainEqual(expect.stringMatching(/^3 .* do not fit/))
    }
  })

  it('reads the rows of a segment again that is of several files', async () => {
    const run = await interrupted()
    const good = lines(() => false)
    const other = createTestMachine({ seed: 7 })
    for (const [name, from] of [
      ['b', 0],
      ['c', 1_000],
    ] as const) {
      // The blank lines count, so that the rows of both follow each other.
      const rows = [...Array(from).fill('\n'), ...good.slice(from, from + 1_000)]
      writeFileSync(fileOf(name), rows.join(''))
    }
    Object.assign(limits, { keptInputBytesMax: 16 * KEPT_BYTES })
    await take(other, { inputs: ['b', 'c'].map(fileOf) })
    Object.assign(limits, { keptInputBytesMax: KEPT_BYTES })
    const [segment] = (await other.start().core('docs').head()).state.segments
    if (segment === undefined) throw new Error('there is a segment')
    expect(segment).toMatchObject({ rows: SEGMENT_ROWS, sources: [0, 1] })
    for (const { digest } of segment.blobs) {
      await run.machine.store.put(blobKey(digest), await other.store.get(blobKey(digest)))
    }
    const { rows, blobs, payloadBytes } = segment
    await tamper(run.machine, (entries) =>
      entries.map((e, i) => (i === 0 ? { ...e, segment: { rows, blobs, payloadBytes } } : e)),
    )
    await endsAsIfNothingHadBeen(run)
    expect(notes).toContainEqual(expect.stringMatching(/^4 .* do not fit/))
  })

  it('begins anew where the ledger goes on beyond the end of the file', async () => {
    const run = await interrupted()
    const key = await rejectsKeyIn(run.machine)
    const line = '{"line":1}\n'.repeat(ROWS)
    let cut = 0
    await tamper(run.machine, (entries) => {
      cut = at(entries, entries.length - 1).rejectBytes
      return last((e) => ({
        rowsRead: e.rowsRead + ROWS,
        rejected: e.rejected + ROWS,
        rejectBytes: cut + line.length,
      }))(entries)
    })
    const rejects = Buffer.concat([
      (await run.machine.state.get(key)).subarray(0, cut),
      Buffer.from(line),
    ])
    await run.machine.state.put(key, rejects, { mode: 'replace' })
    await endsAsIfNothingHadBeen(run)
    expect(notes).toContainEqual(expect.stringMatching(FROM_THE_START))
  })

  it('begins anew where a bad row is to stop it, and stops', async () => {
    const { machine } = await interrupted('early')
    const stopping = take(machine, { inputs: [fileOf('early')], onBadRow: 'stop' })
    await expect(stopping).rejects.toMatchObject({ code: 'BAD_INPUT' })
    expect(await machine.start().core('docs').manifests.newest()).toBeUndefined()
  })

  it('begins anew where the ledger is longer than any can be', async () => {
    const run = await interrupted()
    const [key = ''] = await keysIn(run.machine, 'ledger/')
    const huge = Buffer.concat([
      await run.machine.state.get(key),
      Buffer.alloc(limits.ledgerBytesMax),
    ])
    await run.machine.state.put(key, huge, { mode: 'replace' })
    await endsAsIfNothingHadBeen(run)
  })
})
