import { type BlobInput, encodeBlob } from '../../src/format/blob.ts'
import type { BlobRef } from '../../src/format/manifest.ts'

/** A blob encoded into memory. */
export async function encodeInMemory(
  input: BlobInput,
): Promise<{ readonly ref: BlobRef; readonly bytes: Buffer }> {
  const pieces: Uint8Array[] = []
  const ref = await encodeBlob(input, async (bytes) => void pieces.push(Uint8Array.from(bytes)))
  return { ref, bytes: Buffer.concat(pieces) }
}
