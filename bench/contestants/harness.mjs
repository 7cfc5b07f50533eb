// What every contestant in JavaScript shares: node <contestant>.mjs <phase> <job.json> does one
// phase in a process of its own and prints one JSON line. harness.py is the same for Python.
//
//   build   adapter.load (no clock), adapter.build (clock), adapter.save (clock)
//   search  adapter.open and the first answer (clock), then each query on its own
//   write   see write-load.mjs
//
// A job: { set, folder, threads, setting… }. An adapter:
//
//   version                            of the engine
//   settings(set)                      [{ label, … }], the least effort first
//   load(set) → input                  vectors as the engine wants them
//   build(input, set, job) → index     rows are numbered 0 …
//   save(index, set, job)              files in job.folder
//   open(set, job) → index             from those files
//   query(vector, set) → native        a query as the engine wants it
//   search(index, native, k, setting) → row numbers
//   filter?(set, filter) → native      what a search takes as `setting.filter`; absent: it has none
//   batch?(index, vectors, k, setting, threads) → row numbers of each

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { median, quantile, root } from '../measure.mjs'
import { openSet, recallOf } from '../sets/set-file.mjs'

const WARM_UP = 100
const BATCH_RUNS = 5

export async function contest(adapter) {
  const [phase, file] = process.argv.slice(2)
  const job = JSON.parse(readFileSync(file, 'utf8'))
  const set = openSet(job.set)
  const done = phase === 'build' ? await build(adapter, set, job) : await search(adapter, set, job)
  console.log(JSON.stringify({ version: adapter.version, ...done }))
}

async function build(adapter, set, job) {
  const input = await adapter.load(set)
  const started = performance.now()
  const index = await adapter.build(input, set, job)
  const buildMs = performance.now() - started
  await adapter.save(index, set, job)
  const totalMs = performance.now() - started
  return { buildMs, totalMs, bytes: bytesUnder(job.folder), ...(index?.told ?? {}) }
}

async function search(adapter, set, job) {
  const queries = set.queries.map((vector) => adapter.query(vector, set))
  const started = performance.now()
  const index = await adapter.open(set, job)
  const settings = adapter.settings(set, job)
  await adapter.search(index, queries[0], set.k, settings[0])
  const openMs = performance.now() - started
  for (const query of queries.slice(0, WARM_UP)) {
    await adapter.search(index, query, set.k, settings[0])
  }
  const truth = set.truth()
  const searches = []
  for (const setting of settings) {
    const { answers, ...times } = await round(adapter, index, queries, set.k, setting)
    const batch = await batched(adapter, index, set, setting, job.threads)
    const told = { ...setting, ...times, ...batch, recall: recallOf(truth, answers) }
    searches.push(told)
  }
  const filters = await filtered(adapter, index, queries, set, job)
  const rssBytes = process.memoryUsage().rss
  await adapter.close?.(index)
  return { openMs, searches, filters, rssBytes }
}

/** One query at a time; what an adapter does before and after is not in the clock. */
async function round(adapter, index, queries, k, setting) {
  const times = []
  const answers = []
  adapter.prepare?.(index, setting)
  for (const query of queries) {
    const from = performance.now()
    const rows = await adapter.search(index, query, k, setting)
    times.push(performance.now() - from)
    answers.push(rows)
  }
  return { answers: answers.map((rows) => Array.from(rows, Number)), ...speedOf(times) }
}

function speedOf(times) {
  const mean = times.reduce((sum, time) => sum + time, 0) / times.length
  return { p50Ms: median(times), p99Ms: quantile(times, 0.99), qps: 1000 / mean }
}

async function batched(adapter, index, set, setting, threads) {
  if (adapter.batch === undefined) return {}
  adapter.prepare?.(index, setting)
  // The first starts workers.
  await adapter.batch(index, set.queries, set.k, setting, threads)
  const rates = []
  for (let i = 0; i < BATCH_RUNS; i++) {
    const from = performance.now()
    await adapter.batch(index, set.queries, set.k, setting, threads)
    rates.push((1000 * set.queries.length) / (performance.now() - from))
  }
  return { batchQps: median(rates) }
}

async function filtered(adapter, index, queries, set, job) {
  if (adapter.filter === undefined || job.filters === false) return []
  const setting = adapter.filterSetting(set)
  const found = []
  for (const filter of set.filters) {
    const native = adapter.filter(set, filter)
    const truth = set.filterTruth(filter.file)
    const some = queries.slice(0, Math.min(truth.length, adapter.filterQueries ?? truth.length))
    const how = { ...setting, filter: native }
    await round(adapter, index, some.slice(0, 10), set.k, how)
    const unfiltered = []
    const times = []
    const answers = []
    adapter.prepare?.(index, how)
    for (const [i, query] of some.entries()) {
      // In turns, so that a bad second of the machine tells on both.
      for (const isFiltered of i % 2 === 0 ? [false, true] : [true, false]) {
        const from = performance.now()
        const rows = await adapter.search(index, query, set.k, isFiltered ? how : setting)
        ;(isFiltered ? times : unfiltered).push(performance.now() - from)
        if (isFiltered) answers.push(Array.from(rows, Number))
      }
    }
    const speed = { ...speedOf(times), unfilteredP50Ms: median(unfiltered) }
    const wanted = Math.min(set.k, filter.matching)
    const short = answers.filter((rows) => rows.length < wanted).length
    const { title, share, matching } = filter
    const recall = recallOf(truth, answers)
    found.push({ title, share, matching, ...speed, short, recall, queries: some.length })
  }
  return found
}

/** Version of an installed package; most do not export their package.json. */
export function versionOf(name) {
  const folders = [join(root, 'bench', 'node_modules'), join(root, 'node_modules')]
  const file = folders.map((folder) => join(folder, name, 'package.json')).find(existsSync)
  return JSON.parse(readFileSync(file, 'utf8')).version
}

/** Bytes of all files under a folder. */
export function bytesUnder(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0)
}
