import { stat } from 'node:fs/promises'
import type { Engine, LogRequest, LogVerification } from './engine.ts'

/** Loads the library. Called by the first command that needs it, never at the start. */
export async function loadEngine(): Promise<Engine> {
  const library = await import('../index.ts')
  return {
    ...library,
    bench: library.runBench,
    repair: library.repairFrom,
    auditLog: library.auditEntries,
    ingest: (store, name, request) => store.prospect(name).ingest(request),
    previewIngest: (store, name, request) => store.prospect(name).preview(request),
    verifyAudit: async (request) =>
      (await isFile(request.target))
        ? await verifyBundleLog(library, request)
        : await library.verifyAudit(request),
    serve: async (request) => {
      const { serveStore } = await import('../server/serve-store.ts')
      return await serveStore(request)
    },
  }
}

const isFile = async (path: string | undefined): Promise<boolean> =>
  path !== undefined && (await stat(path).catch(() => undefined))?.isFile() === true

/**
 * A bundle carries the proof that its export stands in its origin's log; it is checked with all
 * the rest of the bundle.
 */
async function verifyBundleLog(
  library: Pick<Engine, 'inspectBundle' | 'verifyBundle'>,
  { target = '', keyFiles, store, kes, onProgress, signal }: LogRequest,
): Promise<LogVerification> {
  const request = {
    input: { path: target },
    keyFiles,
    ...(store === undefined ? {} : { store }),
    ...(kes === undefined ? {} : { kes }),
    ...(signal === undefined ? {} : { signal }),
  }
  const { log } = await library.inspectBundle(request)
  const progress = onProgress === undefined ? {} : { onProgress }
  const { ok, problems } = await library.verifyBundle({ ...request, ...progress })
  return {
    ok,
    entries: log.size,
    root: log.root,
    checkpoints: ok ? 1 : 0,
    problems: problems.map(({ code, member, message }) => ({
      code,
      seq: null,
      message: `${member}: ${message}`,
    })),
  }
}
