import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type JsonObject, type JsonValue, stringifyJson } from '../../../src/core/json.ts'
import type { Metric } from '../../../src/core/metric.ts'
import type { Collection } from '../../../src/db/api/api.ts'
import { type OpenedStore, openStore } from '../../../src/db/store.ts'
import type { TextSearch } from '../../../src/search/text-query.ts'
import { randomOf, type SearchRandom } from '../../search/random.ts'
import { PlainCollection, type PlainRecord, SPARSE_FIELD, TEXT_FIELDS } from './plain-collection.ts'

const METRICS: readonly Metric[] = ['cosine', 'dot', 'l2']
const WORDS = ['red', 'fox', 'blue', 'whale', 'grey', 'wolf', 'green', 'frog', 'stone', 'Äpfel']
/** Ids of a history; few, so that many records are written again. */
const IDS = 240
/** A file of so many rows is a segment with a graph. */
const GRAPH_ROWS = 10_050
/** Of components: some have sums of squares beyond what float32 holds. */
const SCALES = [1, 1, 1, 2 ** 60, 2 ** 120, 2 ** -120]
const PQ_DIMENSION_MIN = 65

/** One state that can be asked for by name, and what it holds. */
export interface PastState {
  readonly name: string
  readonly isKept: boolean
  readonly model: PlainCollection
}

interface InputFile {
  readonly path: string
  readonly records: readonly PlainRecord[]
}

/**
 * A collection and the map of records that it must be equal to, changed side by side, each step
 * drawn from the seed.
 */
export class History {
  readonly random: SearchRandom
  readonly dimension: number
  readonly metric: Metric
  readonly scale: number
  /** What was done, for who reads a failure. */
  readonly steps: string[] = []
  readonly past: PastState[] = []
  model: PlainCollection
  docs!: Collection
  store!: OpenedStore
  readonly #url: string
  readonly #files: InputFile[] = []
  #number = 0

  constructor(seed: number, url: string) {
    this.random = randomOf(seed)
    this.#url = url
    this.dimension = this.random.pick([2, 5, 33, 68])
    this.metric = this.random.pick(METRICS)
    this.scale = this.random.pick(SCALES)
    this.model = new PlainCollection(this.metric)
  }

  /** @param isLarge with a segment that has a graph */
  async start(isLarge: boolean): Promise<void> {
    const { dimension, metric, random } = this
    await this.#open('write')
    this.docs = await this.store.createCollection('docs', {
      dimension,
      metric,
      textFields: TEXT_FIELDS,
      sparseFields: [SPARSE_FIELD],
      textPositions: random.pick([true, false]),
      // Components are halves, which half the bits hold too.
      ...(this.scale === 1 && random.whole(0, 1) === 0 ? { storage: 'f16' as const } : {}),
      index: { quantization: this.#codes() },
    })
    if (isLarge) await this.#ingest(GRAPH_ROWS)
  }

  /** One change by chance. */
  async step(): Promise<void> {
    const { random } = this
    const kinds = [
      ...Array<() => Promise<void>>(5).fill(() => this.#upsert()),
      ...Array<() => Promise<void>>(4).fill(() => this.#ingest(random.whole(1, 120))),
      ...Array<() => Promise<void>>(3).fill(() => this.#delete()),
      () => this.#deleteSource(),
      () => this.#ingestAgain(),
      () => this.#keep(),
      () => this.#keep(),
      () => this.#revert(),
      () => this.#compact(),
      () => this.#buildIndex(),
      () => this.#reopen(),
      () => this.#collect(),
      () => this.#together(),
    ]
    await random.pick(kinds)()
  }

  /** The store as another process sees it that may only read. */
  async reader(memoryBytes?: number): Promise<OpenedStore> {
    const memory = memoryBytes === undefined ? {} : { memoryBytes }
    return await openStore({ url: this.#url, mode: 'read', threads: 2, ...memory })
  }

  async end(): Promise<OpenedStore> {
    await this.docs.flush()
    return this.store
  }

  async close(): Promise<void> {
    await this.store.close()
  }

  vector(): Float32Array {
    const { random, dimension } = this
    const isSmaller = this.scale !== 1 && random.whole(0, 20) === 0
    const scale = isSmaller ? this.scale * 2 ** -random.whole(1, 20) : this.scale
    return Float32Array.from({ length: dimension }, () => (random.whole(1, 9) - 4.5) * scale)
  }

  /** Quarters, whose sums are exact in whatever order. */
  sparse(): ReadonlyMap<string, number> {
    const count = this.random.whole(0, 6)
    return new Map(
      Array.from({ length: count }, () => [
        String(this.random.whole(0, 20)),
        this.random.whole(-4, 9) / 4,
      ]),
    )
  }

  text(words: number): string {
    return Array.from({ length: words }, () => this.random.pick(WORDS)).join(' ')
  }

  /** A search for words: words alone, or with phrases, beginnings of words, and parts. */
  textQuery(): string | TextSearch {
    const { random } = this
    const start = (): string => random.pick(WORDS).slice(0, random.whole(1, 3))
    const words = this.text(random.whole(1, 3))
    const kind = random.whole(0, 4)
    if (kind <= 1) return words
    if (kind === 2) return `${words} "${this.text(2)}"`
    if (kind === 3) return `${start()}* ${words}`
    const some = (make: () => string): string[] => Array.from({ length: random.whole(0, 1) }, make)
    return {
      query: words,
      must: some(() => this.text(1)),
      phrase: some(() => this.text(2)),
      prefix: some(start),
      fields: random.pick([[...TEXT_FIELDS], ['words'], ['a^2.5', 'words']]),
    }
  }

  id(): string {
    return `${this.random.pick(['r', 'é', '\u{1f600}'])}${this.random.whole(0, IDS)}`
  }

  async #open(mode: 'read' | 'write'): Promise<void> {
    this.store = await openStore({ url: this.#url, mode, threads: this.random.whole(1, 2) })
  }

  #codes(): 'int8' | 'pq' {
    return this.dimension >= PQ_DIMENSION_MIN ? this.random.pick(['int8', 'pq']) : 'int8'
  }

  #record(id = this.id(), source?: string): PlainRecord {
    const { random } = this
    const payload: JsonObject = new Map<string, JsonValue>([
      ...random.payload(),
      ['n', random.whole(-9, 40)],
      ['words', this.text(random.whole(0, 6))],
      ['tags', Array.from({ length: random.whole(0, 3) }, () => random.pick(WORDS))],
      ...(random.whole(0, 2) === 0 ? [] : [[SPARSE_FIELD, this.sparse()] as const]),
    ])
    const record = { id, vector: this.vector(), payload }
    return source === undefined ? record : { ...record, source }
  }

  async #upsert(): Promise<void> {
    const records = Array.from({ length: this.random.whole(1, 30) }, () => this.#record())
    this.steps.push(`upsert ${records.length}`)
    await this.docs.upsert(records)
    for (const record of records) this.model.put(record)
  }

  async #ingest(rows: number): Promise<void> {
    const isLarge = rows >= GRAPH_ROWS
    const records = Array.from({ length: rows }, (_, i) =>
      this.#record(isLarge ? `g${i}` : this.id()),
    )
    const text = records
      .map(({ id, vector, payload }) => {
        const line = new Map<string, unknown>([['id', id], ['vector', [...vector]], ...payload])
        return `${stringifyJson(line)}\n`
      })
      .join('')
    const source = createHash('sha256').update(text).digest('hex')
    const path = join(dirname(this.#url), `${this.#number++}.jsonl`)
    await writeFile(path, text)
    const file = { path, records: records.map((record) => ({ ...record, source })) }
    this.#files.push(file)
    await this.#take(file, false)
  }

  async #ingestAgain(): Promise<void> {
    if (this.#files.length === 0) return
    await this.#take(this.random.pick(this.#files), this.random.pick([true, false]))
  }

  async #take({ path, records }: InputFile, again: boolean): Promise<void> {
    const noIndex = this.random.whole(0, 3) === 0
    const options = `${noIndex ? ' without index' : ''}${again ? ' again' : ''}`
    this.steps.push(`ingest ${records.length} of ${basename(path)}${options}`)
    // What is new is counted against the commit before: rows of the log are not in it.
    const isCommitted = this.random.whole(0, 1) === 0
    if (isCommitted) await this.docs.flush()
    const report = await this.docs.ingest({ inputs: [path], noIndex, again })
    if (report.rejected > 0) throw new Error(`${report.rejected} rows rejected`)
    const key = `${path} ${noIndex}`
    const isSkipped = !again && this.model.taken.has(key)
    const ids = new Set(records.map(({ id }) => id))
    const former = [...ids].filter((id) => this.model.records.has(id)).length
    const counts = { inserted: ids.size - former, updated: records.length - (ids.size - former) }
    const { inserted, updated } = report
    if (isCommitted) {
      equal('taken', { inserted, updated }, isSkipped ? { inserted: 0, updated: 0 } : counts)
    }
    if (isSkipped) return
    for (const record of records) this.model.put(record)
    this.model.taken.add(key)
  }

  async #delete(): Promise<void> {
    const { random, model } = this
    if (random.whole(0, 1) === 0) {
      const ids = Array.from({ length: random.whole(0, 12) }, () => this.id())
      this.steps.push(`delete ids ${ids.length}`)
      const gone = model.remove(({ id }) => ids.includes(id))
      equal('deleted', (await this.docs.delete({ ids })).deleted, gone)
      return
    }
    const filter = this.narrowFilter()
    this.steps.push(`delete ${stringifyJson(filter)}`)
    const passing = new Set(model.matching(filter).map(({ id }) => id))
    const gone = model.remove(({ id }) => passing.has(id))
    equal('deleted', (await this.docs.delete({ filter })).deleted, gone)
  }

  /** A filter that leaves something in most cases. */
  narrowFilter(): object {
    const from = this.random.whole(-9, 40)
    const range = { key: 'n', range: { gte: from, lt: from + this.random.whole(1, 9) } }
    return { must: [range, ...[this.random.filter(1)].filter(() => this.random.whole(0, 2) === 0)] }
  }

  async #deleteSource(): Promise<void> {
    const sources = [...this.model.records.values()].flatMap(({ source }) => source ?? [])
    if (sources.length === 0) return
    const source = this.random.pick(sources)
    this.steps.push(`delete source ${source.slice(0, 8)}`)
    const gone = this.model.remove((record) => record.source === source)
    equal('deleted', (await this.docs.delete({ source })).deleted, gone)
  }

  /** Keeps the state as it is now, with a label or by its version or root. */
  async #keep(): Promise<void> {
    const model = this.model.clone()
    if (this.random.whole(0, 1) === 0) {
      const name = `label-${this.#number++}`
      this.steps.push(`snapshot ${name}`)
      await this.docs.snapshots.create(name)
      this.past.push({ name, isKept: true, model })
      return
    }
    await this.docs.flush()
    const { manifestVersion, stateRoot } = await this.docs.info()
    const name = this.random.pick([String(manifestVersion), stateRoot])
    this.steps.push(`state ${name.slice(0, 8)}`)
    this.past.push({ name, isKept: false, model })
  }

  async #revert(): Promise<void> {
    if (this.past.length === 0) return
    const { name, model } = this.random.pick(this.past)
    this.steps.push(`revert ${name.slice(0, 8)}`)
    await this.docs.revert(name)
    this.model = model.clone()
  }

  async #compact(): Promise<void> {
    this.steps.push('compact')
    await this.docs.compact()
  }

  async #buildIndex(): Promise<void> {
    const index = { m: this.random.pick([4, 8, 16]), quantization: this.#codes() }
    this.steps.push(`build index ${stringifyJson(index)}`)
    await this.docs.buildIndex({ index, again: this.random.pick([true, false]) })
  }

  async #reopen(): Promise<void> {
    this.steps.push('close and open')
    await this.store.close()
    await this.#open('write')
    this.docs = await this.store.collection('docs')
  }

  /** States without a label may be gone after this; who asks for them is told so. */
  async #collect(): Promise<void> {
    this.steps.push('gc')
    await this.docs.flush()
    await this.store.gc({ keepMs: 0 })
    for (let i = this.past.length - 1; i >= 0; i--) {
      if (this.past[i]?.isKept !== true) this.past.splice(i, 1)
    }
  }

  /** Writes beside work in the background. */
  async #together(): Promise<void> {
    this.steps.push('together:')
    const works = this.random.pick([
      [() => this.#compact(), () => this.#buildIndex()],
      [() => this.#buildIndex(), () => this.#collect()],
      [() => this.#compact(), () => this.#collect()],
    ])
    const write = this.random.pick([() => this.#upsert(), () => this.#ingest(20)])
    const running = works.map((work) => work())
    await Promise.all([...running, write(), this.docs.search({ vector: this.vector() })])
  }
}

export function equal(what: string, got: unknown, wanted: unknown): void {
  const [a, b] = [stringifyJson(got), stringifyJson(wanted)]
  if (a !== b) throw new Error(`${what}: got ${a.slice(0, 600)}\nwanted ${b.slice(0, 600)}`)
}
