import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import type { IngestResult } from '../../src/db/api/api.ts'
import { initStore } from '../../src/db/open/init.ts'
import type { OpenedStore } from '../../src/db/store.ts'
import {
  inputFile,
  lines,
  opened,
  randomNumbers,
  tempFolder,
  tempStore,
} from '../support/temp-store.ts'

const SEGMENT_ROWS = 20_480
const ROWS = 70_000

const text = (): string => lines('r', ROWS) + '{"id":"bad"}\n'.repeat(3) + lines('s', 10)

beforeAll(() => {
  Object.assign(limits, { segmentRowsMax: SEGMENT_ROWS })
})

/** Runs the ingest in a child and ends it once it has read so many rows. */
async function interrupted(
  url: string,
  file: string,
  when: { rows: number; signal: 'SIGKILL' | 'SIGTERM' },
): Promise<void> {
  const program = join(import.meta.dirname, 'ingest-program.ts')
  const child = fork(program, [url, file, String(SEGMENT_ROWS)], { silent: true })
  child.on('message', ({ rows }: { rows: number }) => {
    if (rows >= when.rows) child.kill(when.signal)
  })
  const [code, signal] = await once(child, 'exit')
  if (when.signal === 'SIGKILL') expect(signal).toBe('SIGKILL')
  else expect(code).toBe(1)
}

const take = async (
  store: OpenedStore,
  file: string,
): Promise<{ result: IngestResult; notes: string[] }> => {
  const notes: string[] = []
  const onNote = (note: string): void => void notes.push(note)
  const request = { inputs: [file], noIndex: true, maxRejects: 3, onNote }
  return { result: await store.prospect('docs').ingest(request), notes }
}

describe('an ingest that is ended in the middle', () => {
  it('shows nothing, goes on from its ledger, and ends in the same state', async () => {
    const whole = await tempStore()
    const file = await inputFile(dirname(whole.url), 'big.jsonl', text())
    const { result: expected } = await take(whole, file)
    expect(expected).toMatchObject({ inserted: ROWS + 10, rejected: 3, partial: false })
    const expectedRejects = await readFile(expected.rejectsFile ?? '', 'utf8')

    const seed = Date.now() % 1_000_000
    const random = randomNumbers(seed)
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      const url = join(await tempFolder(), 'store')
      await initStore({ url })
      const rows = 42_000 + Math.floor(random() * 14_000)
      await interrupted(url, file, { rows, signal })
      const store = await opened(url)
      const why = `seed ${seed}, ${signal} at row ${rows}`
      // Killed just before its commit, the collection itself may be there, and empty.
      const visible = (await store.list()).map(({ count }) => count)
      expect(
        visible.filter((count) => count > 0),
        why,
      ).toEqual([])
      const ledgers = await readdir(join(url, 'local', 'ledger', 'docs'))
      expect(ledgers, why).toHaveLength(1)
      const { result, notes } = await take(store, file)
      expect(notes.join('\n'), why).toMatch(/going on with an interrupted ingest/)
      expect(result.stateRoot, why).toBe(expected.stateRoot)
      expect(result, why).toMatchObject({ inserted: ROWS + 10, rejected: 3 })
      expect(await readFile(result.rejectsFile ?? '', 'utf8'), why).toBe(expectedRejects)
      expect(await readdir(join(url, 'local', 'ledger', 'docs')).catch(() => [])).toEqual([])
      expect((await store.check()).problems, why).toEqual([])
    }
  })

  it('begins anew where the ledger is damaged or its blobs are gone', async () => {
    const url = join(await tempFolder(), 'store')
    await initStore({ url })
    const file = await inputFile(dirname(url), 'big.jsonl', text())
    await interrupted(url, file, { rows: 65_000, signal: 'SIGKILL' })
    const folder = join(url, 'local', 'ledger', 'docs')
    const [name = ''] = await readdir(folder)
    const ledger = await readFile(join(folder, name), 'utf8')
    await inputFile(folder, name, `${ledger.slice(0, -20)}`)
    const store = await opened(url)
    const { result } = await take(store, file)
    expect(result).toMatchObject({ inserted: ROWS + 10, updated: 0, rejected: 3 })
    expect((await store.prospect('docs').info()).count).toBe(ROWS + 10)
  })
})
