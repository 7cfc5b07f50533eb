import { expandInputs } from '../../ingest/expand-inputs.ts'
import { openFile, stdinBytes } from '../../ingest/input-bytes.ts'
import { openSource } from '../../ingest/open-source.ts'
import type { InputBytes, SourcePlan } from '../../ingest/records.ts'
import type { IngestPreview, IngestRequest } from '../api/api.ts'
import { checkList, checkRequest } from '../api/check-call.ts'
import type { CollectionCore } from '../collection/collection-core.ts'
import { checkVectors, readOptionsOf } from './ingest-options.ts'

/** Rows and rejects shown of each file. */
const ROWS_SHOWN = 5

/** What ingest would make of its inputs: columns, guesses, the first rows. Changes nothing. */
export async function previewIngest(
  core: CollectionCore,
  request: IngestRequest,
): Promise<IngestPreview[]> {
  checkRequest('preview', request)
  checkList('preview.inputs', request.inputs)
  const newest = await core.manifests.newest()
  const head = newest?.state.dropped === true ? undefined : newest
  const known = head === undefined ? undefined : { name: core.name, schema: head.state.schema }
  const options = readOptionsOf(request, known)
  const previews: IngestPreview[] = []
  const paths = request.stdin === undefined ? await expandInputs(request.inputs) : ['-']
  for (const path of paths) {
    const { stdin } = request
    const input = stdin === undefined ? await openFile(path) : stdinBytes(stdin)
    try {
      previews.push(await previewOne(path, input, options, known))
    } finally {
      await input.close()
    }
  }
  return previews
}

async function previewOne(
  path: string,
  input: InputBytes,
  options: Parameters<typeof openSource>[1],
  known: Parameters<typeof checkVectors>[1],
): Promise<IngestPreview> {
  const source = await openSource(input, options)
  const rows: IngestPreview['rows'][number][] = []
  const rejects: IngestPreview['rejects'][number][] = []
  try {
    checkVectors(source.plan, known)
    for await (const batch of source.batches()) {
      for (const { id, vector, payload } of batch.records) {
        const shown = vector === undefined ? {} : { vector: [...vector] }
        if (rows.length < ROWS_SHOWN) rows.push({ id, ...shown, payload })
      }
      for (const { line, row, code, reason } of batch.rejects) {
        if (rejects.length >= ROWS_SHOWN) break
        rejects.push({ position: line ?? row ?? 0, code, reason })
      }
      if (rows.length >= ROWS_SHOWN) break
    }
  } finally {
    await source.close()
  }
  const { plan } = source
  return {
    path,
    format: plan.compression === undefined ? plan.format : `${plan.format}, ${plan.compression}`,
    columns: columnsOf(plan),
    dimension: plan.dimension ?? null,
    notes: plan.notes,
    rows,
    rejects,
  }
}

/** Id and vector first, then the payload in file order. */
function columnsOf(plan: SourcePlan): IngestPreview['columns'] {
  const { idColumn, vectorColumns } = plan
  const [first, last] = [vectorColumns[0], vectorColumns.at(-1)]
  const payload = plan.columns.filter((name) => name !== idColumn && !vectorColumns.includes(name))
  const vector = first === last ? first : `${first} … ${last}`
  return [
    ...(idColumn === '' ? [] : [{ name: idColumn, use: 'id' as const, type: 'id' }]),
    ...(vector === undefined ? [] : [{ name: vector, use: 'vector' as const, type: 'float32' }]),
    ...payload.map((name) => columnOf(plan, name)),
  ]
}

function columnOf(plan: SourcePlan, name: string): IngestPreview['columns'][number] {
  const type = Object.hasOwn(plan.fields, name) ? (plan.fields[name] ?? 'json') : ''
  if (plan.textColumns.includes(name)) return { name, use: 'text', type }
  return { name, use: type === '' ? 'ignored' : 'payload', type }
}
