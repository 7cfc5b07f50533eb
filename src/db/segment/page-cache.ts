import type { DecodedPage } from '../../format/payload-section.ts'

interface Kept {
  readonly page: Promise<DecodedPage>
  /** The same once it is there. */
  now: DecodedPage | undefined
  /** Whether it was asked for since it was made, or passed over when room was made. */
  used: boolean
}

/**
 * Decoded payload pages of all segments that share it, in bounded memory. What was not used for a
 * turn gives way (Corbató's second chance, 1968): to keep pages in the order of their use would
 * cost each search more than to find them.
 */
export class PageCache {
  readonly #bytesMax: number
  readonly #kept = new Map<object, Map<number, Kept>>()
  /** In the order in which they were made or passed over, the latest last. */
  readonly #order = new Map<Kept, { readonly owner: object; readonly number: number }>()
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** A page that is there already. */
  now(owner: object, number: number): DecodedPage | undefined {
    const kept = this.#kept.get(owner)?.get(number)
    if (kept === undefined) return undefined
    kept.used = true
    return kept.now
  }

  /** A page of an owner, made where it is not there. A failure is not kept. */
  get(owner: object, number: number, make: () => Promise<DecodedPage>): Promise<DecodedPage> {
    const known = this.#kept.get(owner)?.get(number)
    if (known !== undefined) {
      known.used = true
      return known.page
    }
    const kept: Kept = { page: make(), now: undefined, used: false }
    const pages = this.#kept.get(owner) ?? new Map<number, Kept>()
    this.#kept.set(owner, pages.set(number, kept))
    this.#order.set(kept, { owner, number })
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
    // Whoever is passed over comes again at the end, once, so this ends.
    for (const [oldest, place] of this.#order) {
      if (this.#bytes <= this.#bytesMax) break
      if (oldest === kept || oldest.now === undefined) continue
      if (!oldest.used) {
        this.#drop(oldest)
        continue
      }
      oldest.used = false
      this.#order.delete(oldest)
      this.#order.set(oldest, place)
    }
  }

  #drop(kept: Kept): void {
    const place = this.#order.get(kept)
    if (place === undefined) return
    this.#order.delete(kept)
    this.#bytes -= kept.now?.bytes ?? 0
    const pages = this.#kept.get(place.owner)
    pages?.delete(place.number)
    if (pages?.size === 0) this.#kept.delete(place.owner)
  }
}
