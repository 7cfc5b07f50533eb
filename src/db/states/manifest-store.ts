import { limits } from '../../core/limits.ts'
import { hasCode } from '../../errors/errors.ts'
import type { Manifest } from '../../format/manifest.ts'
import { decodeManifest } from '../../format/manifest-codec.ts'
import { getBounded } from '../../storage/bounded-get.ts'
import type { ObjectStore, PutOptions, PutResult } from '../../storage/object-store.ts'

const TOP = 99_999_999_999_999_999_999n

/**
 * Digits under which a version is stored: counting down, so that the first key of a listing is the
 * newest.
 */
export const versionDigits = (version: number): string =>
  (TOP - BigInt(version)).toString().padStart(20, '0')

/** Version that a manifest's key stands for; 0 where it is no manifest's key. */
export const versionOfKey = (key: string): number => {
  const digits = /\/(\d{20})\.json$/.exec(key)?.[1]
  return digits === undefined ? 0 : Number(TOP - BigInt(digits))
}

/** Folder of a collection's keys in the store. */
export const collectionFolder = (name: string): string => `collections/${name}`
/** Key of a manifest; `folder` is a collection's or a replay's. */
export const manifestKeyIn = (folder: string, version: number): string =>
  `${folder}/manifests/${versionDigits(version)}.json`
export const manifestKey = (name: string, version: number): string =>
  manifestKeyIn(collectionFolder(name), version)

/** The numbered manifests of one collection, newest first. */
export class ManifestStore {
  readonly #store: ObjectStore
  readonly #folder: string
  /** Called with each manifest that this process commits, at that moment. */
  onCommit: ((manifest: Manifest) => void) | undefined
  #cached: Manifest | undefined

  /** @param folder where they lie, if not in the collection's own folder (a replay) */
  constructor(store: ObjectStore, name: string, folder = collectionFolder(name)) {
    this.#store = store
    this.#folder = folder
  }

  /** To be told what was written here. */
  committed(manifest: Manifest): void {
    this.#cached = manifest
    this.onCommit?.(manifest)
  }

  /**
   * The head, or undefined where there is no manifest. One listing, and one read where it is new.
   */
  async newest(): Promise<Manifest | undefined> {
    let version = await this.newestVersion()
    while (version > 0) {
      const manifest = await this.find(version)
      if (manifest !== undefined) return manifest
      const newer = await this.newestVersion()
      // Else a newer one came after the listing, and gc took this one.
      if (newer <= version) return await this.read(version)
      version = newer
    }
    return undefined
  }

  /** Whether a version is there now. */
  async has(version: number): Promise<boolean> {
    const there = (await this.#store.head(manifestKeyIn(this.#folder, version))) !== undefined
    if (!there && this.#cached?.commit.version === version) this.#cached = undefined
    return there
  }

  /** 0 where there is none. */
  async newestVersion(): Promise<number> {
    for await (const info of this.#store.list(`${this.#folder}/manifests/`, { limit: 1 })) {
      return versionOfKey(info.key)
    }
    return 0
  }

  /** @throws NOT_FOUND, INTEGRITY */
  async read(version: number): Promise<Manifest> {
    if (this.#cached?.commit.version === version) return this.#cached
    const key = manifestKeyIn(this.#folder, version)
    const bytes = await getBounded(this.#store, key, limits.manifestBytesMax)
    const manifest = decodeManifest(bytes, key)
    if (manifest.commit.version > (this.#cached?.commit.version ?? 0)) this.#cached = manifest
    return manifest
  }

  async find(version: number): Promise<Manifest | undefined> {
    try {
      return await this.read(version)
    } catch (error) {
      if (hasCode(error, 'NOT_FOUND')) return undefined
      throw error
    }
  }

  /** Versions present, newest first. */
  async *versions(): AsyncIterable<number> {
    for await (const { version } of this.listed()) yield version
  }

  /** The same, and when each was written, by the store's clock. */
  async *listed(): AsyncIterable<{ readonly version: number; readonly modifiedMs: number }> {
    for await (const { key, modifiedMs } of this.#store.list(`${this.#folder}/manifests/`)) {
      yield { version: versionOfKey(key), modifiedMs }
    }
  }

  /** Newest first; those that gc took are passed over. */
  async *history(): AsyncIterable<Manifest> {
    for await (const version of this.versions()) {
      const manifest = await this.find(version)
      if (manifest !== undefined) yield manifest
    }
  }

  put(version: number, file: Uint8Array, options: PutOptions = {}): Promise<PutResult> {
    return this.#store.put(manifestKeyIn(this.#folder, version), file, options)
  }
}
