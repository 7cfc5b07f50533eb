import { openFile } from '../../src/ingest/input-bytes.ts'
import { openSource } from '../../src/ingest/open-source.ts'
import type {
  IngestRecord,
  InputBytes,
  ReadOptions,
  Reject,
  SourcePlan,
} from '../../src/ingest/records.ts'

export interface ReadResult {
  readonly plan: SourcePlan
  readonly records: IngestRecord[]
  readonly rejects: Reject[]
  readonly rowsRead: number
  readonly warnings: ReadonlyMap<string, number>
}

export async function readInput(
  input: InputBytes,
  options: Partial<ReadOptions> = {},
): Promise<ReadResult> {
  const source = await openSource(input, { metric: 'cosine', ...options })
  const records: IngestRecord[] = []
  const rejects: Reject[] = []
  let rowsRead = 0
  for await (const batch of source.batches()) {
    records.push(...batch.records)
    rejects.push(...batch.rejects)
    rowsRead = batch.rowsRead
  }
  await source.close()
  return { plan: source.plan, records, rejects, rowsRead, warnings: source.warnings }
}

export async function readFile(
  path: string,
  options: Partial<ReadOptions> = {},
): Promise<ReadResult> {
  const input = await openFile(path)
  try {
    return await readInput(input, options)
  } finally {
    await input.close()
  }
}

/** Bytes as a file with random access, or as a pipe that comes in pieces of some size. */
export function inMemory(
  name: string,
  content: string | Uint8Array,
  pieceBytes?: number,
): InputBytes {
  const bytes = typeof content === 'string' ? Buffer.from(content, 'utf8') : content
  const pieces = async function* () {
    const step = pieceBytes ?? 65_536
    for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step)
  }
  const close = async () => {}
  if (pieceBytes !== undefined) return { name, stream: pieces, close }
  const readAt = async (offset: number, count: number) => bytes.subarray(offset, offset + count)
  return { name, bytes: bytes.length, readAt, stream: pieces, close }
}
