import { sha256Hex } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'

/** What is kept of a search: plain values, Maps, lists, and typed arrays. */
interface Kept {
  readonly value: unknown
  readonly bytes: number
}

export interface ResultCacheUsage {
  readonly hits: number
  readonly misses: number
  readonly entries: number
  readonly bytes: number
}

/** Deeper values are not kept; a payload's own limit is limits.payloadDepthMax. */
const DEPTH_MAX = limits.payloadDepthMax + 32
/** Bytes of an entry beside what is in it, and of one value. */
const ENTRY_BYTES = 300
const VALUE_BYTES = 16
/** One result takes no more of the room than this. */
const RESULT_SHARE_MAX = 1 / 8

/**
 * Answers of the searches asked last, of one store, by state root and request. A state root says
 * all of what a search sees but rows of an open write-ahead log: with those nothing is looked up
 * or kept. What is given out is a copy, which the caller may change.
 */
export class ResultCache {
  readonly #bytesMax: number
  readonly #kept = new Map<string, Kept>()
  #bytes = 0
  #hits = 0
  #misses = 0

  /** @param bytesMax 0: nothing is kept */
  constructor(bytesMax: number = limits.resultCacheBytesMax) {
    this.#bytesMax = bytesMax
  }

  get usage(): ResultCacheUsage {
    const [hits, misses, entries, bytes] = [this.#hits, this.#misses, this.#kept.size, this.#bytes]
    return { hits, misses, entries, bytes }
  }

  /** The answer to the same request on the same state, or the one that `make` gives. */
  async answer<T>(question: readonly unknown[], make: () => Promise<T>): Promise<T> {
    const key = this.#bytesMax === 0 ? undefined : keyOf(question)
    if (key === undefined) return await make()
    const known = this.#kept.get(key)
    if (known !== undefined) {
      this.#hits++
      this.#kept.delete(key)
      this.#kept.set(key, known)
      return copyOf(known.value).value as T
    }
    this.#misses++
    const result = await make()
    this.#keep(key, result)
    return result
  }

  #keep(key: string, result: unknown): void {
    const copy = copyOf(result)
    const bytes = copy.bytes + ENTRY_BYTES
    if (copy.isOther || bytes > this.#bytesMax * RESULT_SHARE_MAX) return
    this.#drop(key)
    this.#kept.set(key, { value: copy.value, bytes })
    this.#bytes += bytes
    for (const oldest of this.#kept.keys()) {
      const isOver = this.#bytes > this.#bytesMax || this.#kept.size > limits.resultCacheEntriesMax
      if (!isOver) return
      this.#drop(oldest)
    }
  }

  #drop(key: string): void {
    this.#bytes -= this.#kept.get(key)?.bytes ?? 0
    this.#kept.delete(key)
  }
}

interface Copy {
  readonly value: unknown
  readonly bytes: number
  /** Something is in it that is not known here. */
  readonly isOther: boolean
}

function copyOf(value: unknown): Copy {
  let bytes = 0
  let isOther = false
  const copied = (one: unknown, depth: number): unknown => {
    bytes += VALUE_BYTES
    if (typeof one === 'string') bytes += 2 * one.length
    if (typeof one !== 'object' || one === null) return one
    if (depth > DEPTH_MAX) {
      isOther = true
      return undefined
    }
    if (Array.isArray(one)) return one.map((each) => copied(each, depth + 1))
    if (one instanceof Float32Array) {
      bytes += one.byteLength
      return one.slice()
    }
    if (one instanceof Map) {
      const map = new Map<unknown, unknown>()
      for (const [name, each] of one) map.set(copied(name, depth + 1), copied(each, depth + 1))
      return map
    }
    if (Object.getPrototypeOf(one) === Object.prototype) {
      const entries = Object.entries(one)
      return Object.fromEntries(
        entries.map(([name, each]) => [copied(name, depth + 1), copied(each, depth + 1)]),
      )
    }
    isOther = true
    return undefined
  }
  const copy = copied(value, 0)
  return { value: copy, bytes, isOther }
}

/** A digest of all of a question; undefined where something is in it that is not known here. */
function keyOf(question: readonly unknown[]): string | undefined {
  const parts: string[] = []
  let isOther = false
  const add = (value: unknown, depth: number): void => {
    if (depth > DEPTH_MAX) isOther = true
    else if (value === undefined) parts.push('u')
    else if (value === null || typeof value === 'boolean') parts.push(String(value))
    else if (typeof value === 'string') parts.push(JSON.stringify(value))
    else if (typeof value === 'bigint') parts.push(`${value}n`)
    else if (typeof value === 'number') parts.push(Object.is(value, -0) ? '-0' : String(value))
    else if (typeof value === 'object') addObject(value, depth)
    else isOther = true
  }
  const addObject = (value: object, depth: number): void => {
    if (isOther) return
    if (value instanceof Float32Array || value instanceof Uint32Array) {
      const { buffer, byteOffset, byteLength } = value
      const text = Buffer.from(buffer, byteOffset, byteLength).toString('base64')
      parts.push(`${value.constructor.name}:${text}`)
      return
    }
    const isPlain = Object.getPrototypeOf(value) === Object.prototype
    if (Array.isArray(value)) addAll('[', value.entries(), depth)
    else if (value instanceof Map) addAll('{', value, depth)
    else if (isPlain) addAll('{', Object.entries(value), depth)
    else isOther = true
  }
  const addAll = (open: string, entries: Iterable<[unknown, unknown]>, depth: number): void => {
    parts.push(open)
    for (const [name, value] of entries) {
      if (value === undefined) continue
      add(name, depth + 1)
      add(value, depth + 1)
    }
    parts.push(open === '[' ? ']' : '}')
  }
  add(question, 0)
  return isOther ? undefined : sha256Hex(Buffer.from(parts.join(','), 'utf8'))
}
