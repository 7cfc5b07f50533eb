const WASM_PAGE_BYTES = 64 * 1024

/** The part of the WebAssembly interface that is used here; Node's types do not declare it. */
interface WebAssemblyMemory {
  readonly Memory: new (size: {
    readonly initial: number
    readonly maximum: number
    readonly shared: boolean
  }) => { readonly buffer: ArrayBufferLike }
}
const wasm = (globalThis as unknown as { readonly WebAssembly: WebAssemblyMemory }).WebAssembly

const aligned = new WeakSet<ArrayBufferLike>()

/**
 * Memory that begins at a page, as direct reads and writes want it: that of WebAssembly does,
 * ordinary buffers do not.
 *
 * @param shared whether other threads can see it
 */
export function alignedMemory(bytes: number, shared: boolean): Uint8Array {
  const pages = Math.ceil(bytes / WASM_PAGE_BYTES)
  const { buffer } = new wasm.Memory({ initial: pages, maximum: pages, shared })
  aligned.add(buffer)
  return new Uint8Array(buffer, 0, bytes)
}

/** Whether some bytes begin where memory of `alignedMemory` does. */
export const isAligned = ({ buffer, byteOffset }: Uint8Array): boolean =>
  byteOffset === 0 && aligned.has(buffer)

/** Two by turns: one is filled while the other is on its way. */
export type Buffers = readonly [Uint8Array, Uint8Array]

/** @param bytes of each */
export const alignedBuffers = (bytes: number): Buffers => [
  alignedMemory(bytes, false),
  alignedMemory(bytes, false),
]

/** Buffers of one length, used again: memory of WebAssembly is collected late. */
export class BufferPool {
  readonly #bytes: number
  readonly #spareMax: number
  readonly #spare: Buffers[] = []

  /** @param bytes of each buffer @param spareMax pairs that are kept */
  constructor(bytes: number, spareMax: number) {
    this.#bytes = bytes
    this.#spareMax = spareMax
  }

  /** Their content is whatever it was before. */
  take(): Buffers {
    return this.#spare.pop() ?? alignedBuffers(this.#bytes)
  }

  give(buffers: Buffers): void {
    if (this.#spare.length < this.#spareMax) this.#spare.push(buffers)
  }
}
