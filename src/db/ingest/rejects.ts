import { type FileHandle, open } from 'node:fs/promises'
import type { Reject } from '../../ingest/records.ts'
import { withFsErrors } from '../../storage/fs-errors.ts'
import type { ObjectStore } from '../../storage/object-store.ts'

/** Folder of a collection's rejects in the state folder. */
export const rejectsFolder = (collection: string): string => `rejects/${collection}/`

/** Key of the rejects of one input in the state folder. */
export const rejectsKey = (collection: string, sha256: string | null): string =>
  `${rejectsFolder(collection)}${sha256 ?? 'stdin'}.jsonl`

/** The rejects of one input: JSON lines, appended as they come. */
export interface RejectsFile {
  readonly key: string
  readonly bytes: number
  add(rejects: readonly Reject[]): Promise<void>
}

interface RejectsInput {
  readonly collection: string
  readonly file: string
  readonly sha256: string | null
  /** Length that an earlier, interrupted run had reached; 0 begins anew. */
  readonly keepBytes: number
  /** Gets the same lines. */
  readonly copy: RejectsCopy | undefined
}

export async function openRejects(state: ObjectStore, input: RejectsInput): Promise<RejectsFile> {
  const key = rejectsKey(input.collection, input.sha256)
  const present = (await state.head(key))?.bytes ?? 0
  let bytes = Math.min(present, input.keepBytes)
  if (present > 0 && bytes === 0) await state.delete(key)
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
      await input.copy?.add(block)
    },
  }
}

const rejectLine = (input: { file: string; sha256: string | null }, reject: Reject): string =>
  `${JSON.stringify({ file: input.file, sha256: input.sha256, ...reject })}\n`

/** A file of the operator's that rejects are appended to. */
export interface RejectsCopy {
  add(lines: Uint8Array): Promise<void>
  close(): Promise<void>
}

/**
 * Opens (or makes, mode 0640) the operator's own file before any work starts. After a kill it may
 * hold the last lines twice: what stands in it already is never cut.
 *
 * @throws NOT_FOUND (folder), AUTH, NO_SPACE
 */
export async function openRejectsCopy(path: string): Promise<RejectsCopy> {
  const withErrors = <T>(work: () => Promise<T>): Promise<T> =>
    withFsErrors('cannot write', path, work)
  const handle: FileHandle = await withErrors(() => open(path, 'a', 0o640))
  let written = false
  return {
    add: async (lines) => {
      await withErrors(() => handle.appendFile(lines))
      written = true
    },
    close: async () => {
      try {
        if (written) await withErrors(() => handle.sync())
      } finally {
        await handle.close()
      }
    },
  }
}
