import { limits } from '../../core/limits.ts'

/** Parts of a blob in memory, the one used longest ago gives way. */
export class PartMemory {
  readonly #parts = new Map<string, Uint8Array>()
  #bytes = 0

  get(name: string): Uint8Array | undefined {
    const part = this.#parts.get(name)
    if (part === undefined) return undefined
    this.#parts.delete(name)
    this.#parts.set(name, part)
    return part
  }

  set(name: string, part: Uint8Array): void {
    if (this.#parts.has(name)) return
    this.#parts.set(name, part)
    this.#bytes += part.byteLength
    for (const oldest of this.#parts.keys()) {
      if (this.#bytes <= limits.cacheMemoryBytesMax) return
      this.delete(oldest)
    }
  }

  delete(name: string): void {
    this.#bytes -= this.#parts.get(name)?.byteLength ?? 0
    this.#parts.delete(name)
  }
}
