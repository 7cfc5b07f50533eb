import type { AuditEntry } from '../audit/entry.ts'
import type { OpenedStore } from '../db/store.ts'
import type { Engine } from './engine.ts'
import type { AuditEntryView } from './engine-audit.ts'

/** Loads the library. Called by the first command that needs it, never at the start. */
export async function loadEngine(): Promise<Engine> {
  const library = await import('../index.ts')
  return {
    ...library,
    bench: library.runBench,
    versionInfo: async () => library.versionInfo(),
    ingest: (store, name, request) => opened(store).prospect(name).ingest(request),
    previewIngest: (store, name, request) => opened(store).prospect(name).preview(request),
    auditSearch: (store, search) => library.auditSearch(opened(store), search),
    auditLog: (request) =>
      library.auditEntries(request) as AsyncIterable<AuditEntryView & AuditEntry>,
    serve: async (request) => {
      const { serveStore } = await import('../server/serve-store.ts')
      return await serveStore(request)
    },
  }
}

/** The library's own stores are all that a command ever holds. */
const opened = (store: unknown): OpenedStore => store as OpenedStore
