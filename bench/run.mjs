// `npm run bench`: measures every bar, prints a table, writes it as Markdown. See bench/README.md.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { data, labse, root } from './measure.mjs'
import { bundles } from './parts/bundles.mjs'
import { filters } from './parts/filters.mjs'
import { ingest } from './parts/ingest.mjs'
import { memory } from './parts/memory.mjs'
import { search } from './parts/search.mjs'
import { startup } from './parts/startup.mjs'

const PARTS = { ingest, search, filters, bundles, memory, startup }
const PAGE = join(root, 'docs', 'benchmarks.md')
const MARKS = ['<!-- figures -->', '<!-- end of figures -->']

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    quick: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
})

await main()

async function main() {
  if (!existsSync(join(labse, 'labse-public.parquet'))) {
    console.error('bench: the LaBSE files are absent (looked in ../shared/data)')
    process.exitCode = 21
    return
  }
  const names = flags.only ?? Object.keys(PARTS)
  const results = []
  // What one part measured (the yardstick, the filters) serves the next ones.
  let shared = { quick: flags.quick }
  for (const name of names) {
    if (!(name in PARTS)) throw new Error(`no part ${name}: ${Object.keys(PARTS).join(', ')}`)
    console.error(`bench: ${name} …`)
    const result = await PARTS[name](shared)
    shared = { ...shared, ...result }
    results.push(result)
    for (const bar of result.bars) console.error(`  ${verdict(bar)}  ${bar.name}: ${bar.figure}`)
  }
  const page = markdown(results)
  mkdirSync(data, { recursive: true })
  writeFileSync(join(data, 'results.md'), page)
  console.log(page)
  if (flags.write) writePage(page)
  const missed = results.flatMap((result) => result.bars).filter((bar) => verdict(bar) !== 'met')
  if (missed.length > 0) console.error(`bench: ${missed.length} bars missed`)
}

function verdict({ value, bar, least = false }) {
  return (least ? value >= bar : value <= bar) ? 'met' : 'MISSED'
}

function markdown(results) {
  const bars = results.flatMap((result) => result.bars)
  const tables = results.flatMap((result) => result.tables ?? [])
  const facts = results.flatMap((result) => result.facts ?? [])
  const processor = cpus()[0]?.model ?? 'unknown processor'
  return [
    `${processor}, ${availableParallelism()} cores, Node ${process.versions.node}` +
      `${flags.quick ? ', large sets at a twentieth of their size (--quick)' : ''}.`,
    '',
    table(
      ['what', 'measured', 'ratio or figure', 'bar', 'runs', ''],
      bars.map((bar) => [
        bar.name,
        bar.figure,
        bar.value.toFixed(3),
        `${bar.least ? '≥' : '≤'} ${bar.bar}`,
        bar.runs,
        verdict(bar),
      ]),
    ),
    ...tables.flatMap(({ title, head, rows }) => ['', `### ${title}`, '', table(head, rows)]),
    ...(facts.length === 0 ? [] : ['', ...facts.map((fact) => `- ${fact}`)]),
    '',
  ].join('\n')
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
