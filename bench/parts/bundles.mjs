import { rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { akidb, contestant, data, medianOf, megabytes, mib, ms, run } from '../measure.mjs'
import { freshStore, generated, labseStore } from '../store.mjs'

const RUNS = 3
const SHA_RATIO_MAX = 3
const RSS_MAX = 160e6

/**
 * Export and verify: time against bare SHA-256 over the same bytes, peak memory over Node's own.
 * What the same commands take for one record is their start-up, and set aside.
 */
export async function bundles({ quick, full }) {
  const idle = ['-e', 'setTimeout(() => {}, 100)']
  const ownRss = await medianOf(5, async () => (await run(process.execPath, idle)).rssBytes)
  const scale = quick ? 20 : 1
  const store = await freshStore('generated')
  const one = await carry(store, [await oneRecord(store)], ownRss)
  const labse = await carry(await labseStore(), ['labse'], ownRss)
  const small = await filled(store, 'small', 50_000 / scale)
  const large = await filled(store, 'large', (full ? 520_000 : 100_000) / scale)
  const memory = [await carry(store, [small], ownRss), await carry(store, [large], ownRss)]
  const startUp = `${ms(one.exportMs)} for export, ${ms(one.verifyMs)} for bundle verify`
  return {
    bars: [...timeBars(labse, one), ...[labse, ...memory].flatMap(memoryBars)],
    facts: [
      `Node alone: ${mib(ownRss)} resident; of one record: ${startUp}`,
      ...memory.map((each) => `${megabytes(each.bytes)}: ${throughput(each, one)}`),
    ],
  }
}

const throughput = ({ bytes, exportMs, verifyMs, shaMs }, one) => {
  const ratio = (took) => (took / shaMs).toFixed(1)
  const [packed, checked] = [ratio(exportMs - one.exportMs), ratio(verifyMs - one.verifyMs)]
  const rate = (bytes / shaMs / 1e6).toFixed(2)
  return `export ${packed} ×, bundle verify ${checked} × SHA-256 (${rate} GB/s)`
}

async function oneRecord(store) {
  const file = join(data, 'one.jsonl')
  writeFileSync(file, '{"id":"a","vector":[1,2]}\n')
  await run(akidb, ['--store', store, 'ingest', 'one', file])
  return 'one'
}

async function filled(store, name, rows) {
  const file = await generated(rows)
  await run(akidb, ['--store', store, 'ingest', name, file, '--no-index'])
  return name
}

async function carry(store, collections, ownRss) {
  const bundle = join(data, `${collections.join('-')}.akipkg`)
  const key = join(data, 'key.pem')
  const site = ['--store', store]
  let exportRss = 0
  let verifyRss = 0
  const exportMs = await medianOf(RUNS, async () => {
    const out = ['export', ...collections, '-o', bundle, '--force']
    const taken = await run(akidb, [...site, ...out])
    exportRss = Math.max(exportRss, taken.rssBytes)
    return taken.ms
  })
  const { stdout } = await run(akidb, [...site, 'keys', 'export', 'default'])
  writeFileSync(key, stdout)
  const verifyMs = await medianOf(RUNS, async () => {
    const taken = await run(akidb, ['bundle', 'verify', bundle, '--key', key])
    verifyRss = Math.max(verifyRss, taken.rssBytes)
    return taken.ms
  })
  const shaMs = await medianOf(RUNS, async () => (await contestant('sha256', bundle)).ms)
  const bytes = statSync(bundle).size
  rmSync(bundle)
  return { bytes, exportMs, verifyMs, shaMs, exportRss, verifyRss, ownRss }
}

function timeBars({ bytes, exportMs, verifyMs, shaMs }, one) {
  const each = [
    ['export', exportMs - one.exportMs],
    ['bundle verify', verifyMs - one.verifyMs],
  ]
  return each.map(([name, took]) => ({
    name: `${name} of 20,000 × 768 (${megabytes(bytes)}), against SHA-256 of the same bytes`,
    figure: `${ms(took)} against ${ms(shaMs)}`,
    value: took / shaMs,
    bar: SHA_RATIO_MAX,
    runs: RUNS,
  }))
}

function memoryBars({ bytes, exportRss, verifyRss, ownRss }) {
  const each = [
    ['export', exportRss],
    ['bundle verify', verifyRss],
  ]
  return each.map(([name, rss]) => ({
    name: `peak memory of ${name} over Node's own, bundle of ${megabytes(bytes)}`,
    figure: megabytes(rss - ownRss),
    value: (rss - ownRss) / RSS_MAX,
    bar: 1,
    runs: RUNS,
  }))
}
