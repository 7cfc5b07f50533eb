import type { Reject } from '../ingest/records.ts'
import type { ObjectStore } from '../storage/object-store.ts'

/** Key of the rejects of one input in the state folder. */
export const rejectsKey = (collection: string, sha256: string | null): string =>
  `rejects/${collection}/${sha256 ?? 'stdin'}.jsonl`

/** The rejects of one input: JSON lines, appended as they come. */
export interface RejectsFile {
  readonly key: string
  readonly bytes: number
  add(rejects: readonly Reject[]): Promise<void>
}

/** @param keepBytes length that an earlier, interrupted run had reached; 0 begins anew */
export async function openRejects(
  state: ObjectStore,
  input: { collection: string; file: string; sha256: string | null; keepBytes: number },
): Promise<RejectsFile> {
  const key = rejectsKey(input.collection, input.sha256)
  const present = (await state.head(key))?.bytes ?? 0
  let bytes = Math.min(present, input.keepBytes)
  if (bytes === 0) await state.delete(key)
  else if (present > bytes) await state.truncate(key, bytes)
  return {
    key,
    get bytes() {
      return bytes
    },
    add: async (rejects) => {
      if (rejects.length === 0) return
      const lines = rejects.map((reject) => rejectLine(input, reject)).join('')
      const block = Buffer.from(lines, 'utf8')
      await state.append(key, block, bytes)
      bytes += block.byteLength
    },
  }
}

const rejectLine = (input: { file: string; sha256: string | null }, reject: Reject): string =>
  `${JSON.stringify({ file: input.file, sha256: input.sha256, ...reject })}\n`
