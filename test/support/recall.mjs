// recall.mjs <truth.json[#filter]> <answers.jsonl> <least recall>: recall@10 of answers against
// the exact ones; exit 1 below the least. recall.mjs --filter <n> <truth.json>: that filter in
// akidb's language.

import { readFileSync } from 'node:fs'

const RANGES = { '>=': 'gte', '>': 'gt', '<=': 'lte', '<': 'lt' }

if (process.argv[2] === '--filter') {
  const truth = JSON.parse(readFileSync(process.argv[4], 'utf8'))
  const { field, op, value } = truth.filters[Number(process.argv[3])].filter
  const condition = op === '==' ? { match: { value } } : { range: { [RANGES[op]]: value } }
  console.log(JSON.stringify({ must: [{ key: field, ...condition }] }))
} else {
  process.exitCode = measure(...process.argv.slice(2)) ? 0 : 1
}

function measure(place, answersPath, least) {
  const [path, filter] = place.split('#')
  const all = JSON.parse(readFileSync(path, 'utf8'))
  const truth = filter === undefined ? all : all.filters[Number(filter)]
  const lines = readFileSync(answersPath, 'utf8').trimEnd().split('\n')
  let queries = 0
  let found = 0
  let wanted = 0
  let short = 0
  for (const { query, hits } of lines.map((line) => JSON.parse(line))) {
    const exact = truth.neighbors[query]
    if (exact === undefined) continue
    const nearest = exact.slice(0, 10).map((neighbor) => neighbor.id ?? neighbor)
    const got = new Set(hits.slice(0, 10).map((hit) => hit.id))
    queries++
    wanted += nearest.length
    found += nearest.filter((id) => got.has(id)).length
    if (hits.length < nearest.length) short++
  }
  const recall = found / wanted
  console.log(`recall@10 ${recall.toFixed(4)} over ${queries} queries, ${short} with too few hits`)
  return queries > 0 && short === 0 && recall >= Number(least)
}
