import { AkidbError } from '../errors/errors.ts'
import { blobRefsOf } from '../format/closure.ts'
import type { BlobRef, CollectionState } from '../format/manifest.ts'
import { type BlobRecord, encodeRecord } from './records.ts'

/** Gathers what states name and compares it with the records of a bundle: neither may have more. */
export class Closure {
  readonly #lines = new Map<string, string>()

  /** @throws INTEGRITY where two references with one digest differ */
  add(state: CollectionState): void {
    for (const ref of blobRefsOf(state)) {
      const line = lineOf(ref)
      const before = this.#lines.get(ref.digest)
      if (before === undefined) this.#lines.set(ref.digest, line)
      else if (before !== line) throw mismatch(`two references to blob ${ref.digest} differ`)
    }
  }

  /** @throws INTEGRITY where the records are not exactly the blobs that the states name */
  check(records: readonly BlobRecord[]): void {
    for (const { ref } of records) {
      if (this.#lines.get(ref.digest) !== lineOf(ref)) {
        throw mismatch(`no state names blob ${ref.digest} (${ref.role}) as its record does`)
      }
    }
    if (records.length !== this.#lines.size) {
      throw mismatch(`${this.#lines.size} blobs are named, ${records.length} have a record`)
    }
  }
}

const lineOf = (ref: BlobRef): string => encodeRecord({ ref, carried: true })

const mismatch = (what: string): AkidbError =>
  new AkidbError('INTEGRITY', `the states and the records of the bundle differ: ${what}`, {
    hint: 'Ask the sender for a new export.',
  })
