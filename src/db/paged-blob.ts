import { hasCode } from '../errors/errors.ts'
import {
  blobKey,
  checkChunk,
  checkChunkList,
  decodeBlobHead,
  HEADER_BYTES,
  SECTION_ENTRY_BYTES,
  SECTIONS_MAX,
} from '../format/blob.ts'
import { chunkLayout } from '../format/chunks.ts'
import type { BlobRef } from '../format/manifest.ts'
import type { ObjectStore } from '../storage/object-store.ts'
import { missingBlob } from './blob-store.ts'
import { keep } from './once.ts'

/** Chunks of one blob kept in memory: 64 × 64 KiB of a payload. */
const CHUNKS_KEPT_MAX = 64

/** A blob read in pieces; every chunk is checked against the manifest's root at its first read. */
export interface PagedBlob {
  /** Part of a section. @throws INTEGRITY for a damaged chunk or a range outside the section */
  read(section: string, offset: number, bytes: number): Promise<Uint8Array>
  sectionBytes(section: string): number
}

export async function openPagedBlob(store: ObjectStore, ref: BlobRef): Promise<PagedBlob> {
  const layout = chunkLayout(ref.bytes, ref.chunkBytes)
  const key = blobKey(ref.digest)
  const fetch = async (offset: number, bytes: number): Promise<Uint8Array> => {
    try {
      return await store.get(key, { offset, bytes })
    } catch (error) {
      if (hasCode(error, 'NOT_FOUND')) throw missingBlob(ref, error)
      throw error
    }
  }
  const list = await fetch(layout?.listOffset ?? 0, layout?.listBytes ?? 0)
  checkChunkList(list, ref)
  const bodyBytes = layout?.bodyBytes ?? 0
  const chunks = new Map<number, Promise<Uint8Array>>()
  const load = async (index: number): Promise<Uint8Array> => {
    const offset = index * ref.chunkBytes
    const chunk = await fetch(offset, Math.min(ref.chunkBytes, bodyBytes - offset))
    checkChunk(chunk, index, list, ref)
    return chunk
  }
  const chunkAt = (index: number): Promise<Uint8Array> => {
    const kept = keep(chunks, index, () => load(index))
    for (const oldest of chunks.keys()) {
      if (chunks.size <= CHUNKS_KEPT_MAX) break
      chunks.delete(oldest)
    }
    return kept
  }
  const body = async (offset: number, bytes: number): Promise<Uint8Array> => {
    const result = new Uint8Array(bytes)
    for (let at = 0; at < bytes; ) {
      const index = Math.floor((offset + at) / ref.chunkBytes)
      const chunk = await chunkAt(index)
      const from = offset + at - index * ref.chunkBytes
      const take = Math.min(chunk.byteLength - from, bytes - at)
      result.set(chunk.subarray(from, from + take), at)
      at += take
    }
    return result
  }
  const headBytes = Math.min(bodyBytes, HEADER_BYTES + SECTIONS_MAX * SECTION_ENTRY_BYTES)
  const head = decodeBlobHead(await body(0, headBytes), ref)
  return {
    sectionBytes: (section) => head.sections.get(section)?.bytes ?? 0,
    read: (section, offset, bytes) => {
      const range = head.sections.get(section)
      if (range === undefined || offset + bytes > range.bytes)
        return Promise.reject(missingBlob(ref))
      return body(range.offset + offset, bytes)
    },
  }
}
