import { sha256Hex } from '../../core/digest.ts'
import { AkidbError } from '../../errors/errors.ts'
import { KERNEL_BASE64, KERNEL_SHA256 } from './kernel-wasm.ts'
import { CONTEXT_BYTES, INDEX_BYTES, LINK_READER_BYTES, QUERY_BYTES } from './layout.ts'

/** A compiled kernel; may be posted to workers. */
export type KernelModule = object
/** Shared linear memory; may be posted to workers. */
export interface KernelMemory {
  readonly buffer: SharedArrayBuffer
}

/**
 * The kernel's functions. Addresses are bytes from the start of the memory; u32 results come back
 * as signed numbers. Their contracts stand in assembly/index.ts.
 */
export interface KernelExports {
  structBytes(which: number): number
  measure(index: number, context: number, from: number, to: number): number
  centre(index: number): number
  quantise(index: number, from: number, to: number): void
  bias(index: number, from: number, to: number): void
  mean(index: number, context: number): void
  binarise(index: number, context: number, from: number, to: number): void
  train(index: number): void
  halve(index: number): void
  split(index: number, context: number, from: number, to: number): void
  takeLinks(index: number, reader: number, from: number, until: number): number
  build(index: number, context: number, worker: number, workers: number): void
  scan(
    index: number,
    context: number,
    k: number,
    over: number,
    filter: number,
    form: number,
  ): number
  search(
    index: number,
    context: number,
    k: number,
    ef: number,
    filter: number,
    over: number,
  ): number
  rescoreStart(index: number, context: number): void
  rescoreAdd(index: number, context: number, count: number, limit: number): void
  rescoreEnd(index: number, context: number, k: number): number
  exact(index: number, context: number, count: number): void
}

interface MemoryDescriptor {
  readonly initial: number
  readonly maximum: number
  readonly shared: true
}

/** The part of the WebAssembly JavaScript interface that we use; Node's types do not declare it. */
interface WebAssemblyInterface {
  readonly Module: new (bytes: Uint8Array) => KernelModule
  readonly Memory: new (descriptor: MemoryDescriptor) => KernelMemory
  readonly Instance: new (
    module: KernelModule,
    imports: { readonly env: { readonly memory: KernelMemory } },
  ) => { readonly exports: KernelExports }
}

const PAGE_BYTES = 65_536

const wasm = (globalThis as unknown as { readonly WebAssembly: WebAssemblyInterface }).WebAssembly

let compiled: KernelModule | undefined

/**
 * The kernel, compiled once a thread. The bytes are part of the package; a digest guards the file.
 */
export function kernelModule(): KernelModule {
  if (compiled === undefined) {
    const bytes = Buffer.from(KERNEL_BASE64, 'base64')
    if (sha256Hex(bytes) !== KERNEL_SHA256) {
      throw new AkidbError('INTEGRITY', 'the search kernel inside the akidb package is damaged', {
        hint: 'Install akidb again from a verified copy.',
      })
    }
    compiled = new wasm.Module(bytes)
  }
  return compiled
}

/**
 * Memory of at least `bytes`, which never grows. Errors: NO_SPACE where the machine has not that
 * much.
 */
export function createMemory(bytes: number): KernelMemory {
  const pages = Math.max(1, Math.ceil(bytes / PAGE_BYTES))
  try {
    return new wasm.Memory({ initial: pages, maximum: pages, shared: true })
  } catch (cause) {
    const mib = Math.ceil((pages * PAGE_BYTES) / 2 ** 20)
    throw new AkidbError('NO_SPACE', `cannot get ${mib} MiB of memory for one segment's vectors`, {
      hint: 'Close other programs or collections, or raise the memory limit (ulimit, container).',
      cause,
    })
  }
}

/** Binds the kernel to a memory on this thread. */
export function instantiate(module: KernelModule, memory: KernelMemory): KernelExports {
  const { exports } = new wasm.Instance(module, { env: { memory } })
  const sizes = [INDEX_BYTES, QUERY_BYTES, CONTEXT_BYTES, LINK_READER_BYTES]
  for (const [which, bytes] of sizes.entries()) {
    if (exports.structBytes(which) !== bytes) {
      throw new Error(`kernel struct ${which} is ${exports.structBytes(which)} bytes, not ${bytes}`)
    }
  }
  return exports
}
