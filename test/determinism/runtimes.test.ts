import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { sharedData } from '../support/shared-data.ts'
import { tempFolder } from '../support/temp-store.ts'

// The same input gives the same vectors, codes, links and scores, to the last bit: on the oldest
// supported runtime and the pinned one, on one thread and on two (design §3).

const PROGRAM = join(import.meta.dirname, 'digest-program.ts')
const OLDEST = join(
  import.meta.dirname,
  `../../node_modules/oldest-node-linux-${process.arch}/bin/node`,
)
const data = sharedData('labse-public.parquet')
const queries = sharedData('labse-queries.parquet')

interface Digests {
  readonly blobs: Readonly<Record<string, string>>
  readonly answers: Readonly<Record<string, string>>
  readonly payload: string
  readonly stateRoot: string
}

async function digests(runtime: string, threads: number): Promise<Digests> {
  const store = join(await tempFolder(), 'store')
  const argv = ['--no-warnings', PROGRAM, store, data ?? '', queries ?? '', String(threads)]
  const { stdout } = await promisify(execFile)(runtime, argv)
  return JSON.parse(stdout)
}

it.skipIf(data === undefined || queries === undefined)(
  'one input gives the same bits on two runtimes, on one thread and on two',
  async () => {
    expect(existsSync(OLDEST), `${OLDEST} is missing: npm ci installs it`).toBe(true)
    const { payload, stateRoot, ...pinned } = await digests(process.execPath, 2)
    expect(Object.keys(pinned.blobs).sort()).toEqual(
      expect.arrayContaining(['codes', 'fields', 'graph', 'ids', 'origin', 'text', 'vectors']),
    )
    expect(await digests(process.execPath, 1)).toEqual({ ...pinned, payload, stateRoot })
    // Pages of payload are compressed by the zstd of the runtime.
    const { blobs, answers } = await digests(OLDEST, 2)
    expect({ blobs, answers }).toEqual(pinned)
    await expect(`${JSON.stringify(pinned, null, 2)}\n`).toMatchFileSnapshot(
      'golden/labse-public.json',
    )
  },
  120_000,
)
