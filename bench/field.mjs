// The contestants, and one contest of theirs: each builds in one process and searches in another.

import { existsSync, globSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { data, median, root, run } from './measure.mjs'

const HERE = join(root, 'bench')
const PYTHON = join(data, 'venv', 'bin', 'python')
const BUILD_MS_MAX = 150_000
const SEARCH_MS_MAX = 120_000

/**
 * `npm`, `pip`: what has to be installed. `full`: only with --full. `tmpfs`: its files lie in
 * memory where the machine has /dev/shm, because it syncs each row to the disk.
 */
export const FIELD = [
  { name: 'akidb', file: 'akidb.mjs' },
  { name: 'hnswlib-node', file: 'hnswlib-node.mjs', npm: 'hnswlib-node' },
  {
    name: 'hnswlib-node, native',
    file: 'hnswlib-node.mjs',
    npm: 'hnswlib-node-native',
    args: ['hnswlib-node-native'],
  },
  { name: 'usearch', file: 'usearch.mjs', npm: 'usearch', args: ['f32'] },
  { name: 'usearch f16', file: 'usearch.mjs', npm: 'usearch', args: ['f16'], full: true },
  { name: 'usearch i8', file: 'usearch.mjs', npm: 'usearch', args: ['i8'] },
  { name: 'LanceDB', file: 'lancedb.mjs', npm: '@lancedb/lancedb' },
  { name: 'hnswlib (Python)', file: 'hnswlib-python.py', pip: 'hnswlib-*.dist-info' },
  { name: 'faiss', file: 'faiss-cpu.py', pip: 'faiss' },
  { name: 'faiss sq8', file: 'faiss-cpu.py', pip: 'faiss', args: ['sq8'] },
  { name: 'Qdrant, embedded', file: 'qdrant-local.py', pip: 'qdrant_client', tmpfs: true },
  { name: 'Milvus Lite', file: 'milvus-lite.py', pip: 'milvus_lite' },
]

export const INSTALL = 'npm run bench:install'

export const member = (name) => FIELD.find((each) => each.name === name)

export function installed({ npm, pip }) {
  if (pip !== undefined) {
    const found = globSync(`lib/python3*/site-packages/${pip}`, { cwd: join(data, 'venv') })
    return existsSync(PYTHON) && found.length > 0
  }
  const folders = [join(HERE, 'node_modules'), join(root, 'node_modules')]
  return npm === undefined || folders.some((folder) => existsSync(join(folder, npm)))
}

/** Those of the names (all without names) that are installed and, with `engines`, asked for. */
export function entrants({ names, full = false, engines }) {
  const wanted = FIELD.filter((each) => names?.includes(each.name) ?? (full || !each.full))
  const asked = wanted.filter((each) => engines?.includes(each.name) ?? true)
  return asked.filter(installed)
}

/** Every engine's own name for "use this many threads". */
const threadsEnv = (threads) =>
  Object.fromEntries(
    [
      'OMP_NUM_THREADS',
      'OPENBLAS_NUM_THREADS',
      'MKL_NUM_THREADS',
      'RAYON_NUM_THREADS',
      'LANCE_CPU_THREADS',
      'TOKIO_WORKER_THREADS',
    ].map((name) => [name, String(threads)]),
  )

/** Runs one phase of a contestant in a process of its own. */
export async function phase(contestant, name, job, limitMs) {
  const { file, args = [] } = contestant
  const path = join(data, 'job.json')
  writeFileSync(path, JSON.stringify(job))
  const script = join(HERE, 'contestants', file)
  const [command, flags] = file.endsWith('.py') ? [PYTHON, ['-B']] : [process.execPath, []]
  const taken = await run(command, [...flags, script, name, path, ...args], {
    env: threadsEnv(job.threads),
    timeoutMs: limitMs,
  })
  const told = JSON.parse(taken.stdout.trimEnd().split('\n').at(-1))
  return { ...told, peakBytes: taken.rssBytes }
}

/**
 * Builds and searches one set. Resolves to {name, version, threads, build, search}, or
 * {name, failed} where it crashed or took too long: that is a result too.
 */
export async function compete(contestant, set, { threads = 1, limits = 1, job: more = {} } = {}) {
  const { name, tmpfs = false } = contestant
  const parent = tmpfs && existsSync('/dev/shm') ? '/dev/shm/akidb-bench' : join(data, 'built')
  const folder = join(parent, name.replaceAll(/[^a-z0-9]+/gi, '-').toLowerCase())
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const job = { set, folder, threads, ...more }
  console.error(`  ${name}, ${threads} thread${threads === 1 ? '' : 's'} …`)
  try {
    const build = await phase(contestant, 'build', job, limits * BUILD_MS_MAX)
    const search = await phase(contestant, 'search', job, limits * SEARCH_MS_MAX)
    return { name, version: build.version, threads, build, search }
  } catch (error) {
    const reason = error.message.trim().split('\n').at(-1).slice(0, 120)
    console.error(`  ${name} failed: ${error.message}`)
    return { name, threads, failed: reason }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * `compete` several times for each entry, in turns: what slows the machine down for a while slows
 * all of them. Resolves to one result an entry, each figure the median of its rounds.
 *
 * @param entries [{contestant, rounds, options}]
 */
export async function competeInTurns(entries, set) {
  const results = entries.map(() => [])
  for (let round = 0; round < Math.max(...entries.map(({ rounds }) => rounds)); round++) {
    for (const [at, { contestant, rounds, options }] of entries.entries()) {
      if (round < rounds) results[at].push(await compete(contestant, set, options))
    }
  }
  return results.map((rounds) => rounds.find(({ failed }) => failed) ?? medians(rounds))
}

/** One value of the same shape as all of these, with the median of each number. */
function medians(values) {
  const [first] = values
  if (typeof first === 'number') return median(values)
  if (Array.isArray(first)) return first.map((_, at) => medians(values.map((each) => each[at])))
  if (typeof first !== 'object' || first === null) return first
  const names = Object.keys(first)
  return Object.fromEntries(names.map((name) => [name, medians(values.map((each) => each[name]))]))
}

/** Runs a Python program of ours; the last line that it prints is JSON. */
export async function python(file, ...args) {
  const script = join(HERE, 'contestants', file)
  const { stdout } = await run(PYTHON, ['-B', script, ...args], { env: threadsEnv(1) })
  return JSON.parse(stdout.trimEnd().split('\n').at(-1))
}
