import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'
import { canBuildGraph } from './build-index.ts'
import { CodesReader } from './codes.ts'
import { GRAPH_HEADER_BYTES, type GraphHeader, GraphReader, readGraphHeader } from './graph.ts'
import { KernelIndex } from './kernel-index.ts'
import { graphLevels } from './levels.ts'
import { canStayOnDisk, checkQuantization } from './quantization.ts'
import { Segment } from './segment.ts'
import type {
  EarlyIndex,
  OpenIndexInput,
  OpenIndexStream,
  SectionBytes,
  SharedIndex,
  VectorIndex,
} from './vector-index.ts'

/**
 * Opens a stored segment for search on the calling thread, and on as many others as it has
 * contexts: rows (unless they stay on disk), codes and links go into one shared memory, each piece
 * straight from where it is read. Codes that are absent are computed; a graph that is absent is not
 * built. Errors: INTEGRITY (pieces, codes or graph do not fit; NaN or infinity), USAGE (vectors too
 * short for the quantization), LIMIT, NO_SPACE.
 */
export function openVectorIndex(input: OpenIndexInput): VectorIndex {
  const graph = input.graph === undefined ? undefined : new ByteStream(piecesOf(input.graph))
  const loader = new Loader(input, graph?.takeHeader())
  for (const piece of input.pieces ?? []) loader.addRows(piece)
  loader.finishRows()
  for (const chunk of piecesOf(input.codes)) loader.addCodes(chunk)
  loader.finishCodes()
  for (const chunk of graph?.rest() ?? []) loader.addLinks(chunk)
  return loader.finish()
}

/** The same, while the sections are still being read. */
export async function openVectorIndexStream(input: OpenIndexStream): Promise<VectorIndex> {
  const graph = input.graph === undefined ? undefined : new AsyncByteStream(input.graph)
  const loader = new Loader(input, await graph?.takeHeader())
  const room = input.fill === undefined ? undefined : loader.roomForRows()
  const filling = room === undefined ? undefined : input.fill?.(room)
  // It is waited for at the end; until then a failure is not unhandled.
  filling?.catch(() => undefined)
  try {
    if (filling === undefined) {
      for await (const piece of input.pieces ?? []) loader.addRows(piece)
      loader.finishRows()
    }
    // Of rows that others check codes and links come in meanwhile.
    for await (const chunk of input.codes ?? []) loader.addCodes(chunk)
    for await (const chunk of graph?.rest() ?? []) loader.addLinks(chunk)
  } finally {
    await filling?.catch(() => undefined)
  }
  await filling
  if (filling !== undefined) loader.finishRows(input.rows)
  loader.finishCodes()
  return loader.finish()
}

/**
 * Reads codes and links as an opening would whose rows stay on disk, with the same checks, and
 * keeps nothing; memory is not touched for codes. Errors: as openVectorIndexStream.
 */
export async function checkCodesAndLinks(input: OpenIndexStream): Promise<void> {
  const graph = input.graph === undefined ? undefined : new AsyncByteStream(input.graph)
  const loader = new Loader(input, await graph?.takeHeader(), { keepsCodes: false })
  for await (const chunk of input.codes ?? []) loader.addCodes(chunk)
  for await (const chunk of graph?.rest() ?? []) loader.addLinks(chunk)
  loader.finishCodes()
  loader.finish()
}

/**
 * The same in two steps: codes and links first, which is enough to search as where the rows stay on
 * disk; the rows when they are asked for. Needs `codes`, and vectors of more than 64 components.
 */
export async function openEarly(input: OpenIndexStream): Promise<EarlyIndex> {
  const graph = input.graph === undefined ? undefined : new AsyncByteStream(input.graph)
  const loader = new Loader(input, await graph?.takeHeader(), { early: true })
  for await (const chunk of input.codes ?? []) loader.addCodes(chunk)
  for await (const chunk of graph?.rest() ?? []) loader.addLinks(chunk)
  loader.finishCodes()
  const index = loader.finish()
  const addRows = async (signal: AbortSignal): Promise<VectorIndex> => {
    const room = loader.roomForRows()
    if (room !== undefined && input.fill !== undefined) {
      await input.fill(room, signal)
      return await loader.finishWithRows(signal, input.pause, input.rows)
    }
    for await (const piece of input.pieces ?? []) {
      signal.throwIfAborted()
      loader.addRows(piece)
    }
    return await loader.finishWithRows(signal, input.pause)
  }
  return { index, addRows }
}

/**
 * A segment that another thread opened, searched from this one with the scratch space of that
 * number: below `shared.contexts`, and of one thread at a time. Context 0 is the opener's.
 */
export function attachIndex(shared: SharedIndex, context: number): VectorIndex {
  if (!Number.isInteger(context) || context < 0 || context >= shared.contexts) {
    throw new RangeError(`context ${context} of ${shared.contexts}`)
  }
  return new KernelIndex(new Segment(shared.segment, context))
}

/** Components measured without a pause: about a millisecond's work. */
const MEASURED_AT_ONCE = 2 ** 20

type OpenInput = OpenIndexInput | OpenIndexStream

interface LoaderOptions {
  /** The rows come last, when all else is in use. */
  readonly early?: boolean
  readonly keepsCodes?: boolean
}

/** A segment that is being filled: rows, then codes, then links. */
class Loader {
  readonly #segment: Segment
  readonly #codes: CodesReader | undefined
  readonly #header: GraphHeader | undefined
  readonly #links: GraphReader | undefined
  #rows = 0

  constructor(
    input: OpenInput,
    graphHeader: Uint8Array | undefined,
    { early = false, keepsCodes = true }: LoaderOptions = {},
  ) {
    const { rows, dimension, metric, contexts = 1 } = input
    checkContexts(contexts)
    const form = input.parameters.quantization ?? 'int8'
    checkQuantization(form, dimension)
    const onDisk = input.pieces === undefined
    if ((onDisk || early) && (input.codes === undefined || !canStayOnDisk(dimension))) {
      throw new Error('rows can stay on disk only where codes are stored and rows are long')
    }
    const codes = input.codes === undefined ? ('computed' as const) : ('stored' as const)
    const shape = { rows, dimension, metric, form, onDisk, codes, contexts }
    this.#header = graphHeader === undefined ? undefined : readGraphHeader(graphHeader, shape)
    const levels = this.#header === undefined ? undefined : graphLevels(rows, this.#header.m)
    const segment = Segment.create(
      this.#header === undefined || levels === undefined
        ? shape
        : { ...shape, graph: { ...this.#header, upperWords: levels.upperWords, build: false } },
    )
    this.#segment = early ? segment.beforeRows() : segment
    if (this.#header !== undefined && levels !== undefined) {
      this.#segment.setLevels(levels)
      this.#links = new GraphReader(this.#segment, this.#header.listBytes)
    }
    this.#codes = codes === 'computed' ? undefined : new CodesReader(this.#segment, keepsCodes)
  }

  addRows(piece: Float32Array): void {
    this.#rows += this.#segment.loadPiece(piece, this.#rows, 'INTEGRITY')
  }

  /** Where all rows lie one after the other; undefined where there are gaps between them. */
  roomForRows(): Float32Array | undefined {
    const { dimension, rows, plan, f32 } = this.#segment
    if (plan.stride !== dimension) return undefined
    const from = this.#segment.address('vectors') / 4
    return f32.subarray(from, from + rows * dimension)
  }

  /** @param rows how many were put in place */
  finishRows(rows: number = this.#rows): void {
    if (this.#segment.onDisk) return
    this.#segment.checkLoaded(rows, 'INTEGRITY')
    this.#segment.measure('INTEGRITY')
  }

  addCodes(chunk: Uint8Array): void {
    this.#codes?.push(chunk)
  }

  finishCodes(): void {
    if (this.#codes === undefined) this.#segment.quantise()
    else this.#codes.finish()
    this.#segment.walkByForm()
    if (this.#header === undefined) return
    if (!canBuildGraph(this.#segment)) {
      throw new AkidbError('INTEGRITY', 'a graph was stored for vectors that never get one', {
        hint: 'Run akidb index build --again: the index is built anew from the vectors.',
      })
    }
  }

  addLinks(chunk: Uint8Array): void {
    this.#links?.push(chunk)
  }

  finish(): VectorIndex {
    this.#links?.finish()
    return new KernelIndex(this.#segment)
  }

  /** After `finish`, of an early one. */
  async finishWithRows(
    signal: AbortSignal,
    pause: () => Promise<void> = async () => undefined,
    rows: number = this.#rows,
  ): Promise<VectorIndex> {
    this.#segment.checkLoaded(rows, 'INTEGRITY')
    const segment = this.#segment.afterRows()
    const step = Math.ceil(MEASURED_AT_ONCE / segment.plan.stride)
    for (let row = 0; row === 0 || row < rows; row += step) {
      if (row > 0) await pause()
      signal.throwIfAborted()
      segment.measure('INTEGRITY', row, Math.min(rows, row + step))
    }
    segment.walkByForm()
    checkSameNorm(segment, this.#segment)
    return new KernelIndex(segment)
  }
}

/** What was searched before its rows were measured was searched by the norm in its codes. */
function checkSameNorm(measured: Segment, named: Segment): void {
  if (Object.is(measured.wideNorm, named.wideNorm)) return
  throw new AkidbError('INTEGRITY', 'codes do not fit their segment: another norm', {
    hint: 'Run akidb index build --again: the codes are computed anew from the vectors.',
  })
}

function* piecesOf(bytes: SectionBytes | undefined): Generator<Uint8Array> {
  if (bytes instanceof Uint8Array) yield bytes
  else yield* bytes ?? []
}

/** Splits the header from the chunks that a graph comes in. */
class ByteStream {
  readonly #chunks: Iterator<Uint8Array>
  #start = new Uint8Array(0)

  constructor(chunks: Iterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.iterator]()
  }

  takeHeader(): Uint8Array {
    while (this.#start.length < GRAPH_HEADER_BYTES) {
      const next = this.#chunks.next()
      if (next.done === true) break
      this.#start = joined(this.#start, next.value)
    }
    return this.#start.subarray(0, GRAPH_HEADER_BYTES)
  }

  *rest(): Generator<Uint8Array> {
    yield this.#start.subarray(GRAPH_HEADER_BYTES)
    for (let next = this.#chunks.next(); next.done !== true; next = this.#chunks.next()) {
      yield next.value
    }
  }
}

class AsyncByteStream {
  readonly #chunks: AsyncIterator<Uint8Array>
  #start = new Uint8Array(0)

  constructor(chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>) {
    this.#chunks = asAsync(chunks)
  }

  async takeHeader(): Promise<Uint8Array> {
    while (this.#start.length < GRAPH_HEADER_BYTES) {
      const next = await this.#chunks.next()
      if (next.done === true) break
      this.#start = joined(this.#start, next.value)
    }
    return this.#start.subarray(0, GRAPH_HEADER_BYTES)
  }

  async *rest(): AsyncGenerator<Uint8Array> {
    yield this.#start.subarray(GRAPH_HEADER_BYTES)
    for (let next = await this.#chunks.next(); next.done !== true; ) {
      yield next.value
      next = await this.#chunks.next()
    }
  }
}

async function* asAsync(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield* chunks
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(a.length + b.length)
  bytes.set(a)
  bytes.set(b, a.length)
  return bytes
}

function checkContexts(contexts: number): void {
  const max = limits.searchThreadsMax
  if (Number.isInteger(contexts) && contexts >= 1 && contexts <= max) return
  const message = `${contexts} search contexts; 1 to ${max} (searchThreadsMax) are allowed`
  throw new AkidbError('LIMIT', message, {
    hint: 'Choose another --threads.',
    details: { limit: 'searchThreadsMax', max },
  })
}
