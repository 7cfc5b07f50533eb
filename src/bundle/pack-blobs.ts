import { type RunningDigest, runningSha256 } from '../core/digest.ts'
import { AkidbError } from '../errors/errors.ts'
import { checkChunkList } from '../format/blob.ts'
import { chunkLayout } from '../format/chunks.ts'
import type { BlobRef } from '../format/manifest.ts'
import type { Member } from './members.ts'
import type { PackOutput } from './pack-output.ts'
import type { ProgressSteps } from './progress.ts'

/** A blob of the complete set. */
export interface PackBlob {
  readonly ref: BlobRef
  /**
   * Its bytes from `offset` on. Absent: the receiver has it (a delta), only its record is written.
   */
  readonly open?: (offset: number) => AsyncIterable<Uint8Array>
}

/**
 * Writes the members of the carried blobs.
 *
 * @throws INTEGRITY where a source gives other bytes than its record names
 */
export async function packBlobs(
  output: PackOutput,
  members: readonly Member[],
  blobs: readonly PackBlob[],
  steps: ProgressSteps,
): Promise<void> {
  const byDigest = new Map(blobs.map((blob) => [blob.ref.digest, blob]))
  for (let at = 0; at < members.length; ) {
    const list = members[at] as Member
    if (list.kind !== 'chunks') throw new Error('a blob begins with its list')
    const { ref, open } = byDigest.get(list.ref.digest) as PackBlob
    if (open === undefined) throw new Error('only carried blobs have members')
    await output.member(list.name, await readList(ref, open))
    let end = at + 1
    while (members[end]?.kind === 'part') end++
    await new BlobCopy(output, ref, steps).copy(members.slice(at + 1, end), open(0))
    at = end
  }
}

/** The list of chunk hashes, from the end of the blob. */
async function readList(
  ref: BlobRef,
  open: (offset: number) => AsyncIterable<Uint8Array>,
): Promise<Uint8Array> {
  const layout = chunkLayout(ref.bytes, ref.chunkBytes)
  if (layout === undefined) throw damaged(ref, 'no blob has its length')
  const parts: Uint8Array[] = []
  let left = layout.listBytes
  for await (const piece of open(layout.listOffset)) {
    parts.push(Uint8Array.from(piece.subarray(0, left)))
    left -= Math.min(left, piece.byteLength)
    if (left === 0) break
  }
  const list = Buffer.concat(parts)
  checkChunkList(list, ref)
  return list
}

/** Copies one blob into its parts and hashes it on the way. */
class BlobCopy {
  readonly #output: PackOutput
  readonly #ref: BlobRef
  readonly #steps: ProgressSteps
  readonly #digest: RunningDigest = runningSha256()

  constructor(output: PackOutput, ref: BlobRef, steps: ProgressSteps) {
    this.#output = output
    this.#ref = ref
    this.#steps = steps
  }

  async copy(parts: readonly Member[], pieces: AsyncIterable<Uint8Array>): Promise<void> {
    const output = this.#output
    let index = 0
    let part = parts[0] as Member
    let left = part.bytes
    await output.begin(part.name, part.bytes)
    for await (const piece of pieces) {
      this.#digest.update(piece)
      for (let at = 0; at < piece.byteLength; ) {
        if (left === 0) {
          await output.pad(part.bytes)
          const next = parts[++index]
          if (next === undefined) throw damaged(this.#ref, 'it is longer than its record says')
          part = next
          left = part.bytes
          await output.begin(part.name, part.bytes)
        }
        const take = Math.min(left, piece.byteLength - at)
        await output.content(piece.subarray(at, at + take))
        at += take
        left -= take
      }
      this.#steps.at(output.bytes, part.name)
    }
    if (left > 0 || index < parts.length - 1) throw damaged(this.#ref, 'it is cut short')
    if (this.#digest.hex() !== this.#ref.digest) throw damaged(this.#ref, 'its content is altered')
    await output.pad(part.bytes)
  }
}

const damaged = (ref: BlobRef, what: string): AkidbError =>
  new AkidbError('INTEGRITY', `blob ${ref.digest} (${ref.role}) is damaged: ${what}`, {
    hint: 'Run akidb check --read-data, then akidb repair --from a bundle or copy that has it.',
    details: { digest: ref.digest, role: ref.role },
  })
