// `npm run bench`: measures every bar, prints a table, writes it as Markdown. See bench/README.md.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildEngine } from './engine.mjs'
import { FIELD, INSTALL, installed } from './field.mjs'
import { data, labse as labseFolder, root } from './measure.mjs'
import { bucket } from './parts/bucket.mjs'
import { bundles } from './parts/bundles.mjs'
import { labse } from './parts/labse.mjs'
import { memory } from './parts/memory.mjs'
import { mnist } from './parts/mnist.mjs'
import { nearFilters } from './parts/near-filters.mjs'
import { path } from './parts/path.mjs'
import { planted } from './parts/planted.mjs'
import { startup } from './parts/startup.mjs'
import { text } from './parts/text.mjs'
import { workingStores } from './parts/working-stores.mjs'
import { writes } from './parts/writes.mjs'

const PARTS = {
  labse,
  'near-filters': nearFilters,
  mnist,
  planted,
  path,
  text,
  writes,
  bundles,
  bucket,
  'working-stores': workingStores,
  memory,
  startup,
}
const PAGE = join(root, 'docs', 'benchmarks.md')
const CHARTS = join(root, 'docs', 'assets')
const MARKS = ['<!-- figures -->', '<!-- end of figures -->']

const { values: flags } = parseArgs({
  options: {
    engine: { type: 'string', multiple: true },
    full: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    quick: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
})

await main()

async function main() {
  if (!existsSync(join(labseFolder, 'labse-public.parquet'))) {
    console.error('bench: the LaBSE files are absent (looked in ../shared/data)')
    process.exitCode = 21
    return
  }
  const names = flags.only ?? Object.keys(PARTS)
  const strange = names.find((name) => !(name in PARTS))
  if (strange !== undefined) {
    throw new Error(`no part ${strange}: ${Object.keys(PARTS).join(', ')}`)
  }
  mkdirSync(data, { recursive: true })
  await buildEngine()
  const results = []
  for (const name of names) {
    console.error(`bench: ${name} …`)
    const started = performance.now()
    const result = await PARTS[name]({ ...flags, engines: flags.engine })
    results.push(result)
    for (const bar of result.bars) console.error(`  ${verdict(bar)}  ${bar.name}: ${bar.figure}`)
    console.error(`  ${((performance.now() - started) / 1000).toFixed(0)} s`)
  }
  const charts = Object.assign({}, ...results.map((result) => result.charts ?? {}))
  const page = markdown(results, Object.keys(charts))
  writeFileSync(join(data, 'results.md'), page)
  writeFileSync(join(data, 'results.json'), JSON.stringify(results))
  writeCharts(join(data, 'charts'), charts)
  console.log(page)
  if (flags.write) {
    writePage(page)
    writeCharts(CHARTS, charts)
  }
  const missed = results.flatMap((result) => result.bars).filter((bar) => verdict(bar) !== 'met')
  if (missed.length > 0) console.error(`bench: ${missed.length} bars not met`)
}

function verdict({ value, bar, least = false }) {
  if (value === undefined) return 'not measured'
  return (least ? value >= bar : value <= bar) ? 'met' : 'MISSED'
}

function markdown(results, charts) {
  const bars = results.flatMap((result) => result.bars)
  const tables = results.flatMap((result) => result.tables ?? [])
  const facts = results.flatMap((result) => result.facts ?? [])
  return [
    ...machine(),
    '',
    table(
      ['what', 'measured', 'ratio or figure', 'bar', 'runs', ''],
      bars.map((bar) => [
        bar.name,
        bar.figure,
        bar.value?.toFixed(3) ?? '–',
        `${bar.least ? '≥' : '≤'} ${bar.bar}`,
        bar.runs,
        verdict(bar),
      ]),
    ),
    ...charts.flatMap((name) => ['', `![${name}](assets/bench-${name}.svg)`]),
    ...tables.flatMap(({ title, head, rows, note }) => [
      '',
      `### ${title}`,
      '',
      ...(note === undefined ? [] : [note, '']),
      table(head, rows),
    ]),
    ...(facts.length === 0 ? [] : ['', ...facts.map((fact) => `- ${fact}`)]),
    '',
  ].join('\n')
}

function machine() {
  const scale = flags.quick ? ', large sets at a tenth or less of their size (--quick)' : ''
  const processor = cpus()[0]?.model.trim() ?? 'unknown processor'
  const absent = FIELD.filter((each) => !installed(each)).map(({ name }) => name)
  const memory = (totalmem() / 2 ** 30).toFixed(0)
  return [
    `${processor}, ${availableParallelism()} cores, ${memory} GiB, ` +
      `Node ${process.versions.node}${scale}.`,
    ...(absent.length === 0 ? [] : ['', `Not installed (\`${INSTALL}\`): ${absent.join(', ')}.`]),
  ]
}

function table(head, rows) {
  const lines = [head, head.map(() => '---'), ...rows]
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

function writePage(figures) {
  const page = readFileSync(PAGE, 'utf8')
  const [from, to] = MARKS.map((mark) => page.indexOf(mark))
  if (from === -1 || to < from) throw new Error(`${PAGE} has no place for figures`)
  writeFileSync(PAGE, `${page.slice(0, from)}${MARKS[0]}\n\n${figures}\n${page.slice(to)}`)
}

function writeCharts(folder, charts) {
  mkdirSync(folder, { recursive: true })
  for (const [name, svg] of Object.entries(charts)) {
    writeFileSync(join(folder, `bench-${name}.svg`), svg)
  }
}
