import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'
import { chunkLayout } from '../format/chunks.ts'
import type { BlobRef } from '../format/manifest.ts'
import type { HeadFile } from './head-files.ts'
import type { BlobRecord } from './records.ts'
import { BLOCK_BYTES, END_MARKER, paddingBytes } from './tar-header.ts'

/**
 * A member that the signed records predict: its name, size and place are known before it is read.
 */
export type Member =
  | {
      readonly kind: 'file'
      readonly name: string
      readonly bytes: number
      readonly file: HeadFile
    }
  | {
      readonly kind: 'chunks'
      readonly name: string
      readonly bytes: number
      readonly ref: BlobRef
    }
  | {
      readonly kind: 'part'
      readonly name: string
      readonly bytes: number
      readonly ref: BlobRef
      /** Where in the blob it begins. */
      readonly offset: number
    }

/** Members of the files that a head lists. */
export const fileMembers = (files: readonly HeadFile[]): Member[] =>
  files.map((file) => ({ kind: 'file', name: file.path, bytes: file.bytes, file }))

/**
 * Members of the carried blobs, in the order of their records: the list of chunks, then the blob,
 * in parts where it is larger than `partBytes`.
 *
 * @throws LIMIT where a blob would be more than limits.bundlePartsMax parts
 */
export function blobMembers(records: readonly BlobRecord[], partBytes: number): Member[] {
  const members: Member[] = []
  for (const { ref, carried } of records) {
    if (!carried) continue
    const listBytes = chunkLayout(ref.bytes, ref.chunkBytes)?.listBytes ?? 0
    members.push({ kind: 'chunks', name: `chunks/${ref.digest}`, bytes: listBytes, ref })
    if (ref.bytes <= partBytes) {
      members.push({ kind: 'part', name: `blobs/${ref.digest}`, bytes: ref.bytes, ref, offset: 0 })
    } else {
      members.push(...parts(ref, partBytes))
    }
  }
  return members
}

function parts(ref: BlobRef, partBytes: number): Member[] {
  const count = Math.ceil(ref.bytes / partBytes)
  if (count > limits.bundlePartsMax) {
    throw new AkidbError('LIMIT', `blob ${ref.digest} is ${count} parts, over bundlePartsMax`, {
      hint: 'Export with larger parts.',
    })
  }
  return Array.from({ length: count }, (_, i) => ({
    kind: 'part',
    name: `blobs/${ref.digest}.${String(i).padStart(3, '0')}`,
    bytes: Math.min(partBytes, ref.bytes - i * partBytes),
    ref,
    offset: i * partBytes,
  }))
}

/** Bytes that members take with their headers and padding. */
export const memberBytes = (members: readonly Pick<Member, 'bytes'>[]): number =>
  members.reduce((sum, { bytes }) => sum + BLOCK_BYTES + bytes + paddingBytes(bytes), 0)

/** Bytes of a whole bundle. */
export const bundleBytes = (bootstrap: readonly number[], members: readonly Member[]): number =>
  memberBytes(bootstrap.map((bytes) => ({ bytes }))) + memberBytes(members) + END_MARKER.byteLength
