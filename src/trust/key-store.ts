import type { Clock, RandomBytes } from '../core/clock.ts'
import { AkidbError } from '../errors/errors.ts'
import { decodeBackup, encodeBackup } from './key-backup.ts'
import { checkKeyName, isKeyName } from './key-name.ts'
import { createSigner, generateKeyPair, shortKeyId } from './key-pair.ts'
import {
  encodePrivateKey,
  type PrivateKeyFile,
  parsePrivateKey,
  unlockPrivateKey,
} from './private-key-file.ts'
import { encodePublicKey, parsePublicKey } from './public-key-file.ts'
import type { PublicKey, Signer } from './signer.ts'

const PRIVATE = '.key.json'
const PUBLIC = '.pub'
const PRIVATE_MODE = 0o600
const PUBLIC_MODE = 0o644

/** Name of the key that signs checkpoints; it signs often, so with node:crypto. */
export const LOG_KEY = 'log'
/** Name of the key that signs bundles unless another is asked for. */
export const DEFAULT_KEY = 'default'

/** Where a key store keeps its files; names are plain file names. */
export interface KeyFiles {
  /** undefined where there is none; AUTH where a secret one can be read by others. */
  read(name: string, options: { readonly secret: boolean }): Promise<Uint8Array | undefined>
  write(
    name: string,
    bytes: Uint8Array,
    options: { readonly mode: number; readonly replace: boolean },
  ): Promise<'created' | 'exists'>
  list(): Promise<readonly string[]>
  remove(name: string): Promise<boolean>
}

export interface KeyInfo {
  readonly name: string
  readonly keyId: string
  /** This store can sign with it (once unlocked). */
  readonly hasPrivate: boolean
  readonly encrypted: boolean
  readonly trusted: boolean
  /** ISO 8601, UTC; null for the keys of others. */
  readonly createdAt: string | null
}

export interface GenerateOptions {
  readonly passphrase?: string
  /**
   * Destroy the private key that bears the name; its public half stays trusted under `<name>-<8
   * digits>`.
   */
  readonly replace?: boolean
}

export interface RestoreOptions {
  readonly passphrase?: string
  readonly replace?: boolean
}

/**
 * The keys of one store: its own, and those of others that it trusts. A store trusts its own keys.
 */
export interface KeyStore {
  /** @throws EXISTS where the name is taken and `replace` not set; USAGE for a bad name */
  generate(name: string, options?: GenerateOptions): Promise<PublicKey>
  /**
   * @throws NOT_FOUND; AUTH where it is locked, the passphrase wrong, or others can read the file
   */
  load(name: string, options?: { readonly passphrase?: string }): Promise<Signer>
  /** Whether `load` needs a passphrase. @throws NOT_FOUND */
  isLocked(name: string): Promise<boolean>
  /** In order of names. */
  list(): Promise<readonly KeyInfo[]>
  /** @throws NOT_FOUND */
  publicKey(name: string): Promise<PublicKey>
  /**
   * Trusts the key of somebody else; nothing changes where it is trusted already.
   * @param options.name default: the key's own name (`<name>-<8 digits>` where that is taken), or
   *   the first 16 digits of its fingerprint
   * @throws EXISTS where the name belongs to another key
   */
  trust(key: PublicKey, options?: { readonly name?: string }): Promise<PublicKey>
  trusted(): Promise<readonly PublicKey[]>
  /** @throws NOT_FOUND; CONFLICT for an own key */
  untrust(name: string): Promise<void>
  /** PEM. @throws NOT_FOUND */
  exportPublic(name: string): Promise<string>
  /**
   * All keys in one file, encrypted where there is a passphrase. Keys keep passphrases of their
   * own.
   */
  backup(options?: { readonly passphrase?: string }): Promise<Uint8Array>
  /**
   * Brings back the keys of a backup, all or none of them checked. A store that has another key
   * `log` keeps it, and the backup's is left out: one log has one key for ever.
   *
   * @returns their names @throws EXISTS
   */
  restore(bytes: Uint8Array, options?: RestoreOptions): Promise<readonly string[]>
}

export interface KeyStoreOptions {
  readonly random: RandomBytes
  readonly clock: Pick<Clock, 'nowMs'>
}

/** The keys in a folder of files: `<name>.key.json` (0600) and `<name>.pub` (PEM). */
export function openKeyStore(files: KeyFiles, options: KeyStoreOptions): KeyStore {
  return new FileKeyStore(files, options)
}

class FileKeyStore implements KeyStore {
  readonly #files: KeyFiles
  readonly #random: RandomBytes
  readonly #clock: Pick<Clock, 'nowMs'>

  constructor(files: KeyFiles, options: KeyStoreOptions) {
    this.#files = files
    this.#random = options.random
    this.#clock = options.clock
  }

  async generate(name: string, options: GenerateOptions = {}): Promise<PublicKey> {
    checkKeyName(name)
    const replace = options.replace ?? false
    if (replace) await this.#retire(name)
    else if (await this.#isTaken(name)) throw existsError(name)
    const pair = generateKeyPair(this.#random, name)
    const bytes = await encodePrivateKey(pair, {
      name,
      createdAt: this.#now(),
      random: this.#random,
      ...(options.passphrase === undefined ? {} : { passphrase: options.passphrase }),
    })
    const mode = { mode: PRIVATE_MODE, replace }
    if ((await this.#files.write(name + PRIVATE, bytes, mode)) === 'exists') throw existsError(name)
    await this.#writePublic(pair.key, true)
    return pair.key
  }

  async load(name: string, options: { readonly passphrase?: string } = {}): Promise<Signer> {
    const file = await this.#private(name, true)
    if (file === undefined) throw notFoundError(name, 'private key')
    const pair = await unlockPrivateKey(file, options.passphrase)
    return createSigner(pair, { implementation: name === LOG_KEY ? 'node' : 'tweetnacl' })
  }

  async isLocked(name: string): Promise<boolean> {
    const file = await this.#private(name, false)
    if (file === undefined) throw notFoundError(name, 'private key')
    return !('seed' in file.secret)
  }

  async list(): Promise<readonly KeyInfo[]> {
    const infos: KeyInfo[] = []
    for (const name of await this.#names()) {
      const file = await this.#private(name, false)
      const key = file?.key ?? (await this.#public(name))
      if (key === undefined) continue
      infos.push({
        name,
        keyId: key.keyId,
        hasPrivate: file !== undefined,
        encrypted: file !== undefined && !('seed' in file.secret),
        trusted: true,
        createdAt: file?.createdAt ?? null,
      })
    }
    return infos
  }

  async publicKey(name: string): Promise<PublicKey> {
    checkKeyName(name)
    const key = (await this.#private(name, false))?.key ?? (await this.#public(name))
    if (key === undefined) throw notFoundError(name, 'key')
    return key
  }

  async trust(key: PublicKey, options: { readonly name?: string } = {}): Promise<PublicKey> {
    const known = (await this.trusted()).find((trusted) => trusted.keyId === key.keyId)
    if (known !== undefined) return known
    const own = key.name !== undefined && isKeyName(key.name) ? key.name : undefined
    const name = options.name ?? (await this.#freeName(own, key))
    checkKeyName(name)
    const named: PublicKey = { keyId: key.keyId, raw: key.raw, name }
    if (await this.#isTaken(name)) throw existsError(name)
    if ((await this.#writePublic(named, false)) === 'exists') throw existsError(name)
    return named
  }

  /**
   * Every site calls its key "default": a name that is taken gets the key's first digits, and so
   * does one that a store keeps for its own keys, though it may have none yet.
   */
  async #freeName(own: string | undefined, key: PublicKey): Promise<string> {
    if (own === undefined) return key.keyId.slice(0, 16)
    const isOurs = own === DEFAULT_KEY || own === LOG_KEY
    return isOurs || (await this.#isTaken(own))
      ? `${own.slice(0, 55)}-${key.keyId.slice(0, 8)}`
      : own
  }

  async trusted(): Promise<readonly PublicKey[]> {
    const keys = new Map<string, PublicKey>()
    for (const name of await this.#names()) {
      // The public file decides: it can be read where the private one cannot.
      const key = (await this.#public(name)) ?? (await this.#private(name, false))?.key
      if (key !== undefined && !keys.has(key.keyId)) keys.set(key.keyId, key)
    }
    return [...keys.values()]
  }

  async untrust(name: string): Promise<void> {
    checkKeyName(name)
    if ((await this.#private(name, false)) !== undefined) {
      throw new AkidbError('CONFLICT', `"${name}" is a key of this store, which it always trusts`, {
        hint: 'Replace it with "akidb keys generate --replace".',
      })
    }
    if (!(await this.#files.remove(name + PUBLIC))) throw notFoundError(name, 'key')
  }

  async exportPublic(name: string): Promise<string> {
    return encodePublicKey(await this.publicKey(name))
  }

  async backup(options: { readonly passphrase?: string } = {}): Promise<Uint8Array> {
    const entries: { name: string; bytes: Uint8Array }[] = []
    for (const name of await this.#files.list()) {
      const bytes = isKeyFile(name) ? await this.#files.read(name, { secret: false }) : undefined
      if (bytes !== undefined) entries.push({ name, bytes })
    }
    return encodeBackup(entries, {
      createdAt: this.#now(),
      random: this.#random,
      ...(options.passphrase === undefined ? {} : { passphrase: options.passphrase }),
    })
  }

  async restore(bytes: Uint8Array, options: RestoreOptions = {}): Promise<readonly string[]> {
    const replace = options.replace ?? false
    const all = await decodeBackup(bytes, options.passphrase)
    const entries = replace || !(await this.#hasOtherLog(all)) ? all : withoutLog(all)
    for (const entry of entries) await this.#checkRestored(entry, replace)
    for (const entry of entries) {
      const mode = entry.name.endsWith(PRIVATE) ? PRIVATE_MODE : PUBLIC_MODE
      await this.#files.write(entry.name, entry.bytes, { mode, replace })
    }
    return [...new Set(entries.map((entry) => keyNameOf(entry.name)))]
  }

  async #hasOtherLog(entries: readonly BackedUp[]): Promise<boolean> {
    const log = entries.find(({ name }) => name === LOG_KEY + PRIVATE)
    const own = await this.#files.read(LOG_KEY + PRIVATE, { secret: false })
    return log !== undefined && own !== undefined && !Buffer.from(own).equals(log.bytes)
  }

  /** A backup is a file from outside: each key in it must make sense before any is written. */
  async #checkRestored({ name, bytes }: BackedUp, replace: boolean): Promise<void> {
    const where = `"${name.slice(0, 100)}" in the backup`
    if (!isKeyFile(name)) throw new AkidbError('BAD_INPUT', `${where} is no key`)
    if (name.endsWith(PUBLIC)) parsePublicKey(bytes, where)
    else if (parsePrivateKey(bytes, where).name !== keyNameOf(name)) {
      throw new AkidbError('BAD_INPUT', `${where} bears another name inside`)
    }
    if (replace) return
    const present = await this.#files.read(name, { secret: false })
    if (present !== undefined && !Buffer.from(present).equals(bytes)) {
      throw existsError(keyNameOf(name))
    }
  }

  /** What the old key signed stays valid: its public half is kept under a name of its own. */
  async #retire(name: string): Promise<void> {
    const old = (await this.#private(name, false))?.key
    if (old === undefined) {
      if ((await this.#public(name)) !== undefined) throw existsError(name)
      return
    }
    const retired = `${name.slice(0, 55)}-${old.keyId.slice(0, 8)}`
    await this.#writePublic({ keyId: old.keyId, raw: old.raw, name: retired }, true)
  }

  async #isTaken(name: string): Promise<boolean> {
    const names = await this.#names()
    return names.includes(name)
  }

  async #names(): Promise<readonly string[]> {
    const files = await this.#files.list()
    return [...new Set(files.filter(isKeyFile).map(keyNameOf))].sort()
  }

  async #private(name: string, secret: boolean): Promise<PrivateKeyFile | undefined> {
    checkKeyName(name)
    const bytes = await this.#files.read(name + PRIVATE, { secret })
    return bytes === undefined ? undefined : parsePrivateKey(bytes, `key "${name}"`)
  }

  async #public(name: string): Promise<PublicKey | undefined> {
    const bytes = await this.#files.read(name + PUBLIC, { secret: false })
    if (bytes === undefined) return undefined
    const { keyId, raw } = parsePublicKey(bytes, `key "${name}"`)
    return { keyId, raw, name }
  }

  #writePublic(key: PublicKey, replace: boolean): Promise<'created' | 'exists'> {
    const bytes = new Uint8Array(Buffer.from(encodePublicKey(key), 'utf8'))
    return this.#files.write(key.name + PUBLIC, bytes, { mode: PUBLIC_MODE, replace })
  }

  #now(): string {
    return new Date(this.#clock.nowMs()).toISOString()
  }
}

/** A file of a backup. */
interface BackedUp {
  readonly name: string
  readonly bytes: Uint8Array
}

const withoutLog = (entries: readonly BackedUp[]): BackedUp[] =>
  entries.filter(({ name }) => keyNameOf(name) !== LOG_KEY)

const keyNameOf = (file: string): string =>
  file.endsWith(PRIVATE) ? file.slice(0, -PRIVATE.length) : file.slice(0, -PUBLIC.length)

const isKeyFile = (file: string): boolean =>
  (file.endsWith(PRIVATE) || file.endsWith(PUBLIC)) && isKeyName(keyNameOf(file))

const existsError = (name: string): AkidbError =>
  new AkidbError('EXISTS', `there is a key "${name}" already`, {
    hint: 'Choose another name; "akidb keys generate --replace" destroys the old private key.',
    details: { key: name },
  })

const notFoundError = (name: string, what: string): AkidbError =>
  new AkidbError('NOT_FOUND', `there is no ${what} "${name}"`, {
    hint: '"akidb keys list" shows all; "akidb keys generate" makes one.',
    details: { key: name },
  })

/** A fingerprint as printed: all digits, then the short form to compare by eye. */
export const describeKey = (key: PublicKey): string => `${key.keyId} (${shortKeyId(key.keyId)})`
