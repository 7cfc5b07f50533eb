import { access } from 'node:fs/promises'
import { AkidbError } from '../errors/errors.ts'
import type {
  BatchSearch,
  Collection,
  CollectionInfo,
  QueryRow,
  QuerySource,
  SearchRequest,
} from '../index.ts'
import { type AuditParts, auditQuery } from './audit-query.ts'
import { escapeJson } from './escape.ts'
import { jsonLine } from './json-document.ts'
import type { Output } from './output.ts'
import { type SearchFlags, wordsOf } from './search-flags.ts'

interface ManyRequest extends AuditParts {
  readonly collection: Collection
  /** What is the same for every query. */
  readonly base: SearchRequest
  readonly flags: SearchFlags
  readonly path: string
}

type Use = 'vector' | 'text' | 'hybrid'

/**
 * `search --queries`: exactly {query,stateRoot,hits} a line, in the order of the file, whatever the
 * output mode.
 */
export async function searchMany(request: ManyRequest): Promise<void> {
  const { context, collection, base, flags, path } = request
  const names: string[] = []
  const info = collection.info(flags.asOf === undefined ? {} : { asOf: flags.asOf })
  const asked = openQueries(request, info)
  // A failure is thrown where the queries are read.
  asked.catch(() => undefined)
  // Both at once: the queries are opened while the index is.
  const results = collection.searchBatch(requestsOf(asked, { base, flags, names }), {
    signal: context.signal,
    preload: needsVectors(request, info, asked).catch(() => false),
    ...(base.asOf === undefined ? {} : { asOf: base.asOf }),
  })
  const lines = new LineWriter(context.session.out)
  let queries = 0
  try {
    for await (const { hits, stateRoot } of results) {
      if (queries++ === 0) {
        const { k, ef, exact } = base
        const { filter, textField } = flags
        const { use, name } = await asked
        const said = { file: path, use, textField, k, ef, exact, filter }
        await auditQuery(request, { collection: name, asked: said, queries: 0, stateRoot })
      }
      await lines.write(jsonLine({ query: names.shift(), stateRoot, hits }))
      if (context.session.out.closed) return
    }
  } finally {
    await lines.flush()
  }
}

/** The file of queries, and what of it is used. */
interface OpenedQueries {
  readonly source: QuerySource
  readonly use: Use
  /** Of the collection. */
  readonly name: string
}

/** Known before the file is open where the collection has no words to search, and there is one. */
async function needsVectors(
  { path }: ManyRequest,
  info: Promise<CollectionInfo>,
  asked: Promise<OpenedQueries>,
): Promise<boolean> {
  const hasWords = (await info).schema.text.fields.length > 0
  if (!hasWords && (await isThere(path))) return true
  return (await asked).use !== 'text'
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

async function openQueries(
  request: ManyRequest,
  known: Promise<CollectionInfo>,
): Promise<OpenedQueries> {
  const { context, engine, flags, path } = request
  const info = await known
  const { idColumn, vectorColumn, vectorColumns, textColumn } = flags
  if (textColumn !== undefined && textColumn.length > 1) {
    throw new AkidbError('USAGE', '--queries takes one --text-column')
  }
  const source = await engine.openQueries({
    path,
    text: info.schema.text.fields.length > 0,
    signal: context.signal,
    ...(info.dimension === null ? {} : { dimension: info.dimension }),
    ...(idColumn === undefined ? {} : { idColumn }),
    ...(vectorColumn === undefined ? {} : { vectorColumn }),
    ...(vectorColumns === undefined ? {} : { vectorColumns }),
    ...(textColumn?.[0] === undefined ? {} : { textColumn: textColumn[0] }),
  })
  const use = chooseUse(source, flags.use)
  if (use === 'vector' && flags.textField !== undefined) {
    throw new AkidbError('USAGE', '--text-field: these queries are by vector alone', {
      hint: 'With texts in the file and the collection: --use text or --use hybrid.',
    })
  }
  context.note(useText(source, use))
  return { source, use, name: info.collection }
}

interface Queries {
  /** What is the same for every query. */
  readonly base: SearchRequest
  readonly flags: SearchFlags
  /** Takes the name of each query, in their order. */
  readonly names: string[]
}

async function* requestsOf(
  asked: Promise<OpenedQueries>,
  { base, flags, names }: Queries,
): AsyncIterable<BatchSearch> {
  const { source, use } = await asked
  const { asOf: _asOf, signal: _signal, ...same } = base
  for await (const row of source.rows) {
    names.push(row.query)
    yield { ...same, ...queryOf(row, use, flags), withPayload: flags.withPayload === true }
  }
}

/** Characters gathered before they are written: a write costs as much as a search. */
const WRITE_CHARACTERS = 32 * 1024
/** Lines are not held back for longer than this, where results come slowly. */
const WRITE_AFTER_MS = 100

/** Writes lines together. */
class LineWriter {
  readonly #out: Output
  #held = ''
  #heldSinceMs = 0

  constructor(out: Output) {
    this.#out = out
  }

  async write(line: string): Promise<void> {
    if (this.#held === '') this.#heldSinceMs = performance.now()
    this.#held += this.#out.isTerminal ? escapeJson(line) : line
    const isLate = performance.now() - this.#heldSinceMs >= WRITE_AFTER_MS
    if (this.#held.length >= WRITE_CHARACTERS || isLate) await this.flush()
  }

  async flush(): Promise<void> {
    const held = this.#held
    this.#held = ''
    if (held !== '') await this.#out.write(held)
  }
}

/** The vector wins unless --use says otherwise. USAGE where the file lacks what is wanted. */
function chooseUse(source: QuerySource, wanted: Use | undefined): Use {
  const { vectorColumn, textColumn } = source
  const use = wanted ?? (vectorColumn !== undefined ? 'vector' : 'text')
  const lacks =
    (use !== 'text' && vectorColumn === undefined) || (use !== 'vector' && textColumn === undefined)
  if (!lacks) return use
  const found = [vectorColumn, textColumn].filter((name) => name !== undefined)
  throw new AkidbError('USAGE', `--queries: the file and the collection share no ${use} column`, {
    hint: `Found: ${found.join(', ') || 'neither'}. See --vector-column and --text-column.`,
  })
}

const useText = (source: QuerySource, use: Use): string => {
  const id = source.idColumn === undefined ? 'the number of the row' : `column ${source.idColumn}`
  const columns = {
    vector: `the vectors of column ${source.vectorColumn}`,
    text: `the text of column ${source.textColumn}`,
    hybrid: `the vectors of column ${source.vectorColumn} and the text of ${source.textColumn}`,
  }
  return `queries use ${columns[use]}; the id is ${id}`
}

const queryOf = ({ vector, text }: QueryRow, use: Use, flags: SearchFlags): SearchRequest => ({
  ...(use === 'text' || vector === undefined ? {} : { vector }),
  ...(use === 'vector' || text === undefined ? {} : { text: wordsOf(text, flags) }),
})
