import { hasCode } from '../../errors/errors.ts'
import type { Manifest } from '../../format/manifest.ts'
import type { Environment } from './environment.ts'
import type { ManifestStore } from './manifest-store.ts'
import { pinManifest, type StatePin } from './pins.ts'

/** Which state of a collection somebody reads: the newest, or one that he named. */
export type ReadKind = 'head' | 'older'

/** A state that is held while it is read; every hold is released once. */
export interface Hold {
  readonly manifest: Manifest
  /** Whether the pin wants renewing: a read that takes hours asks now and then. */
  isOld(): boolean
  /** @throws CONFLICT where the pin had lapsed and a collection of garbage took the state */
  renew(): Promise<void>
  /** Never throws: a pin that stays lapses by itself. */
  release(): Promise<void>
}

interface Held {
  readonly manifest: Manifest
  readonly pin: StatePin
  users: number
}

/**
 * The states that one process reads of one collection, each pinned from before its first blob is
 * read until its last reader is done (design §5). The newest head stays pinned after that, since
 * the next read is probably of the same.
 */
export class ReaderPins {
  readonly #environment: Environment
  readonly #manifests: ManifestStore
  readonly #held = new Map<string, Promise<Held | undefined>>()
  #head = ''

  constructor(environment: Environment, manifests: ManifestStore) {
    this.#environment = environment
    this.#manifests = manifests
  }

  /**
   * Holds a state. @returns undefined where a collection of garbage takes it or took it: look for
   * the state again
   */
  async take(manifest: Manifest, kind: ReadKind): Promise<Hold | undefined> {
    const { digest } = manifest
    for (;;) {
      const pinning = this.#held.get(digest) ?? this.#begin(manifest, kind)
      const held = await pinning
      if (held === undefined) return undefined
      // It was let go of while this one waited.
      if (this.#held.get(digest) !== pinning) continue
      held.users++
      if (kind === 'head') held.pin.seen()
      if (kind === 'head' && this.#head !== digest) {
        const former = this.#head
        this.#head = digest
        await this.#drop(former)
      }
      return this.#holdOf(held)
    }
  }

  /** States that somebody reads now. */
  async inUse(): Promise<readonly Manifest[]> {
    const held = await Promise.all(this.#held.values())
    return held.flatMap((state) => (state === undefined ? [] : [state.manifest]))
  }

  /** Lets go of what is only kept for the next read. */
  async trim(): Promise<void> {
    const former = this.#head
    this.#head = ''
    await this.#drop(former)
  }

  async close(): Promise<void> {
    const held = [...this.#held.values()]
    this.#held.clear()
    this.#head = ''
    for (const pinning of held) await (await pinning.catch(() => undefined))?.pin.release()
  }

  #begin(manifest: Manifest, kind: ReadKind): Promise<Held | undefined> {
    const { digest } = manifest
    const pinning = this.#pin(manifest, kind).then(
      (pin) => {
        if (pin === undefined) this.#held.delete(digest)
        return pin === undefined ? undefined : { manifest, pin, users: 0 }
      },
      (error: unknown) => {
        this.#held.delete(digest)
        throw error
      },
    )
    this.#held.set(digest, pinning)
    return pinning
  }

  async #pin(manifest: Manifest, kind: ReadKind): Promise<StatePin | undefined> {
    const { mode, store, pinStore } = this.#environment
    const pins = mode === 'write' ? store : pinStore?.()
    if (pins === undefined) return UNPINNED
    try {
      const environment = { ...this.#environment, store: pins }
      // Who can read something newer does not wait.
      const options = {
        wait: kind === 'older',
        later: kind === 'head' && environment.isShared === true,
      }
      const pin = await pinManifest(environment, this.#manifests, manifest, options)
      return pin && { ...pin, renew: () => pin.renew().catch(unlessReadOnly) }
    } catch (error) {
      // Where the disk is full or read only, reading goes on without a pin.
      unlessReadOnly(error)
      return UNPINNED
    }
  }

  #holdOf(held: Held): Hold {
    let released = false
    return {
      manifest: held.manifest,
      isOld: () => held.pin.isOld(),
      renew: () => held.pin.renew(),
      release: async () => {
        if (released) return
        released = true
        held.users--
        await this.#drop(held.manifest.digest)
      },
    }
  }

  /** Lets go of a state that nobody reads and that is not the newest head. */
  async #drop(digest: string): Promise<void> {
    const held = await this.#held.get(digest)?.catch(() => undefined)
    if (held === undefined || held.users > 0 || digest === this.#head) return
    if (this.#held.delete(digest)) await held.pin.release()
  }
}

function unlessReadOnly(error: unknown): void {
  if (!hasCode(error, 'NO_SPACE', 'AUTH')) throw error
}

const UNPINNED: StatePin = {
  seen: () => undefined,
  isOld: () => false,
  renew: async () => undefined,
  release: async () => undefined,
}
