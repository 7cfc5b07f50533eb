import type { DecodedPage } from '../../format/payload-section.ts'

interface Kept {
  readonly page: Promise<DecodedPage>
  /** The same once it is there. */
  now: DecodedPage | undefined
}

/** Decoded payload pages used last, of all segments that share it, in bounded memory. */
export class PageCache {
  readonly #bytesMax: number
  readonly #kept = new Map<object, Map<number, Kept>>()
  /** In the order of use, the latest last. */
  readonly #order = new Map<Kept, { readonly owner: object; readonly number: number }>()
  /** The latest: whoever reads row after row asks for it again and again. */
  #latest: Kept | undefined
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** A page that is there already. */
  now(owner: object, number: number): DecodedPage | undefined {
    const kept = this.#kept.get(owner)?.get(number)
    if (kept?.now !== undefined) this.#touch(kept)
    return kept?.now
  }

  /** A page of an owner, made where it is not there. A failure is not kept. */
  get(owner: object, number: number, make: () => Promise<DecodedPage>): Promise<DecodedPage> {
    const known = this.#kept.get(owner)?.get(number)
    if (known !== undefined) {
      this.#touch(known)
      return known.page
    }
    const kept: Kept = { page: make(), now: undefined }
    const pages = this.#kept.get(owner) ?? new Map<number, Kept>()
    this.#kept.set(owner, pages.set(number, kept))
    this.#order.set(kept, { owner, number })
    this.#latest = kept
    kept.page.then(
      (page) => this.#made(kept, page),
      () => this.#drop(kept),
    )
    return kept.page
  }

  /** Lets go of all pages of an owner. */
  forget(owner: object): void {
    for (const kept of this.#kept.get(owner)?.values() ?? []) this.#drop(kept)
  }

  #made(kept: Kept, page: DecodedPage): void {
    // It was let go of meanwhile.
    if (!this.#order.has(kept)) return
    kept.now = page
    this.#bytes += page.bytes
    for (const oldest of this.#order.keys()) {
      if (this.#bytes <= this.#bytesMax || oldest === kept) break
      if (oldest.now !== undefined) this.#drop(oldest)
    }
  }

  #touch(kept: Kept): void {
    if (kept === this.#latest) return
    const place = this.#order.get(kept)
    if (place === undefined) return
    this.#order.delete(kept)
    this.#order.set(kept, place)
    this.#latest = kept
  }

  #drop(kept: Kept): void {
    const place = this.#order.get(kept)
    if (place === undefined) return
    this.#order.delete(kept)
    if (this.#latest === kept) this.#latest = undefined
    this.#bytes -= kept.now?.bytes ?? 0
    const pages = this.#kept.get(place.owner)
    pages?.delete(place.number)
    if (pages?.size === 0) this.#kept.delete(place.owner)
  }
}
