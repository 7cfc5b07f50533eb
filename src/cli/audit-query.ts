import type { OpenedStore } from '../index.ts'
import type { Context } from './context.ts'
import type { Engine } from './engine.ts'
import { jsonLine } from './json-document.ts'

export interface AuditParts {
  readonly context: Context
  readonly store: OpenedStore
  readonly engine: Engine
}

/** A query in the words of its audit entry. */
export interface AskedQuery {
  readonly collection: string
  readonly asked: object
  readonly queries: number
  readonly stateRoot: string
}

/** Writes a query's audit entry, by policy, before anything of the result is shown. */
export async function auditQuery(
  { context, store, engine }: AuditParts,
  query: AskedQuery,
): Promise<void> {
  const { settings } = context
  const policy = settings.text('audit.queries')
  if (policy === 'off') return
  const reason = settings.text('reason')
  await engine.auditSearch(store, {
    collection: query.collection,
    policy: policy === 'full' ? 'full' : 'digest',
    required: settings.flag('audit.required'),
    query: jsonLine(query.asked).trimEnd(),
    queries: query.queries,
    stateRoot: query.stateRoot,
    ...(reason === undefined ? {} : { reason }),
  })
}
