import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { installed, member } from '../field.mjs'
import { contestant, data, labse, ms } from '../measure.mjs'
import { documentSet } from '../sets/documents.mjs'
import { openSet } from '../sets/set-file.mjs'

/** BM25 and hybrid over generated documents, and nDCG@10 on Cranfield against the reference. */
export async function text({ quick }) {
  const folder = await documentSet(quick ? 10_000 : 100_000)
  const { title } = openSet(folder)
  const cranfield = join(labse, 'cranfield')
  const ours = await contestant('akidb-text', folder, cranfield, join(data, 'text'))
  const reference = JSON.parse(readFileSync(join(cranfield, 'bm25-reference.json'), 'utf8'))
  const wanted = referenceNdcg(reference)
  const slower = ours.deepText.p50Ms > ours.deepVector.p50Ms ? 'deepText' : 'deepVector'
  const part = slower === 'deepText' ? 'text' : 'vector'
  const engines = [['akidb', ours]]
  if (installed(member('LanceDB'))) {
    engines.push(['LanceDB', await contestant('lancedb-text', folder, join(data, 'text-lance'))])
  }
  const kinds = ['text', 'vector', 'hybrid']
  return {
    bars: [
      {
        name: `BM25 over ${title}, p95`,
        figure: ms(ours.text.p95Ms),
        value: ours.text.p95Ms / 5,
        bar: 1,
        runs: 500,
      },
      {
        name:
          `hybrid over ${title}, k 10, p50 against the slower of its parts, ` +
          `each for the ${ours.depth} hits that it takes of it`,
        figure: `${ms(ours.hybrid.p50Ms)} against ${ms(ours[slower].p50Ms)} (${part})`,
        value: ours.hybrid.p50Ms / ours[slower].p50Ms,
        bar: 1.5,
        runs: 500,
      },
      {
        name: 'Cranfield: nDCG@10 of BM25, distance to the reference',
        figure: `${ours.ndcg.toFixed(4)} against ${wanted.toFixed(4)}`,
        value: Math.abs(ours.ndcg - wanted),
        bar: 0.002,
        runs: 225,
      },
    ],
    tables: [
      {
        title: `Words, vectors and both: ${title}, k 10`,
        head: ['engine', 'ingest and indexes', ...kinds.flatMap((kind) => [`${kind} p50`, 'p95'])],
        rows: engines.map(([name, told]) => [
          name,
          ms(told.ingestMs),
          ...kinds.flatMap((kind) => [ms(told[kind].p50Ms), ms(told[kind].p95Ms)]),
        ]),
        note: 'akidb on two workers while it ingests; LanceDB on all cores.',
      },
    ],
  }
}

/** The mean nDCG@10 over `text` alone. */
const referenceNdcg = ({ runs }) => runs.find(({ fields }) => fields.join() === 'text').ndcg10
