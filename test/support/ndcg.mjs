// ndcg.mjs <cranfield folder> <answers.jsonl>: nDCG@10 of text answers; exit 1 where it is off
// the reference by more than 0.005. Gain 1 for relevance > 0, mean over the judged queries, as
// the reference has it.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const [folder, answersPath] = process.argv.slice(2)
const reference = 0.3492
const tolerance = 0.005

const relevant = new Map()
for (const line of readFileSync(join(folder, 'qrels.tsv'), 'utf8').trimEnd().split('\n').slice(1)) {
  const [query, doc, relevance] = line.split('\t')
  if (!relevant.has(query)) relevant.set(query, new Set())
  if (Number(relevance) > 0) relevant.get(query).add(doc)
}
const lines = readFileSync(answersPath, 'utf8').trimEnd().split('\n')
const answers = new Map(
  lines.map((line) => JSON.parse(line)).map(({ query, hits }) => [query, hits]),
)

let sum = 0
for (const [query, docs] of relevant) {
  const gains = (answers.get(query) ?? []).slice(0, 10).map(({ id }) => (docs.has(id) ? 1 : 0))
  const ideal = discounted(Array.from({ length: Math.min(10, docs.size) }, () => 1))
  sum += ideal === 0 ? 0 : discounted(gains) / ideal
}
const ndcg = sum / relevant.size
console.log(`nDCG@10 ${ndcg.toFixed(4)}, reference ${reference}`)
process.exitCode = Math.abs(ndcg - reference) <= tolerance ? 0 : 1

function discounted(gains) {
  return gains.reduce((total, gain, rank) => total + gain / Math.log2(rank + 2), 0)
}
