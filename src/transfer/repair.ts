import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { problemsError } from '../bundle/problems.ts'
import { verifyBundle } from '../bundle/verify.ts'
import type { OnProgress } from '../db/api/api.ts'
import { type BlobSource, type RepairResult, repairStore } from '../db/check/repair.ts'
import type { OpenedStore } from '../db/store.ts'
import { AkidbError } from '../errors/errors.ts'
import type { KesAccess } from '../storage/kes/kes-access.ts'
import { bundleBytes } from './key-server.ts'

export interface RepairFromOptions {
  /** A bundle, or the folder of another store; absent: only what can be built anew is mended. */
  readonly from?: string
  /** The key server of an encrypted bundle. */
  readonly kes?: KesAccess
  readonly dryRun?: boolean
  readonly onProgress?: OnProgress
  readonly signal?: AbortSignal
}

/**
 * Repairs a store (see repairStore), with blobs from a bundle file or another store's folder.
 *
 * @throws NOT_FOUND where `from` is neither; UNTRUSTED, SIGNATURE, INTEGRITY for a bundle whose
 *   head does not hold; AUTH for a store that was opened for reading
 */
export async function repairFrom(
  store: OpenedStore,
  options: RepairFromOptions = {},
): Promise<RepairResult> {
  if (options.dryRun !== true && store.mode === 'read') {
    throw new AkidbError('AUTH', 'this store was opened for reading only', {
      hint: "Open it with mode 'write'.",
    })
  }
  const { from, kes, ...rest } = options
  if (from === undefined) return await repairStore(store.environment, rest)
  const isFile = (await stat(from).catch(() => undefined))?.isFile() === true
  if (!isFile) return await repairStore(store.environment, { ...rest, from })
  const source = bundleSource(store, from, options)
  return await repairStore(store.environment, { ...rest, from, source })
}

/** Blobs of a bundle; one that is damaged there is passed over, and the others are taken. */
function bundleSource(
  store: OpenedStore,
  path: string,
  { kes, signal }: RepairFromOptions,
): BlobSource {
  return async (sink) => {
    const report = await verifyBundle({
      read: bundleBytes({ path }, { name: basename(path), kes, signal }),
      keys: await store.environment.keys.trusted(),
      sink: {
        state: async () => undefined,
        begin: (ref) => sink.begin(ref),
        write: (bytes) => sink.write(bytes),
        end: () => sink.end(),
        abort: () => sink.abort(),
      },
      ...(signal === undefined ? {} : { signal }),
    })
    if (report.head === undefined) throw problemsError(report.problems, basename(path))
  }
}
