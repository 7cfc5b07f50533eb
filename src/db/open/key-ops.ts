import { open, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isSha256Hex } from '../../core/digest.ts'
import { AkidbError } from '../../errors/errors.ts'
import { fsCode, withFsErrors } from '../../storage/fs-errors.ts'
import { makeFolders } from '../../storage/make-folders.ts'
import { DEFAULT_KEY, type KeyStore } from '../../trust/key-store.ts'
import { parsePublicKey } from '../../trust/public-key-file.ts'
import type { PublicKey, Signer } from '../../trust/signer.ts'
import { certify } from './init.ts'
import { type OpenEnvironment, openEnvironment } from './open-environment.ts'
import type { AskPassphrase, StoreRequest } from './store-request.ts'

/** A key file is a few hundred bytes, a backup of a hundred keys a few ten thousand. */
const KEY_FILE_BYTES_MAX = 4 * 1024 * 1024

/** A key by name and fingerprint (SHA-256 of its DER form, 64 hex digits). */
export interface KeyEntry {
  readonly name: string
  readonly keyId: string
  /** 'private': we can sign with it. 'trusted': a public key whose signatures we accept. */
  readonly kind: 'private' | 'trusted'
  /** Private keys: whether a passphrase protects it. */
  readonly locked?: boolean
}

/** Keys, ours and trusted ones. */
export interface KeyList {
  readonly keys: readonly KeyEntry[]
}

/** A public key as PEM (SubjectPublicKeyInfo); `pem` is '' where a fingerprint asked for it. */
export interface PublicKeyText {
  readonly name: string | null
  readonly keyId: string
  readonly pem: string
}

/** Runs work on a store's keys as one entry of the audit log. */
async function withKeys<T>(
  request: StoreRequest,
  event: string | undefined,
  work: (keys: KeyStore, environment: OpenEnvironment) => Promise<T>,
): Promise<T> {
  const mode = event ? 'write' : 'read'
  const environment = await openEnvironment({ ...request, mode, keysOnly: true })
  try {
    const result = await work(environment.keys, environment)
    if (event !== undefined) {
      const audit = await environment.audit()
      const details = { key: (result as { keyId?: unknown }).keyId ?? null }
      const reason = request.reason === undefined ? {} : { reason: request.reason }
      const { actor } = environment
      await audit.append([{ act: event, phase: 'event', actor, ...reason, details }])
      await audit.checkpoint()
    }
    return result
  } finally {
    await environment.close()
  }
}

/** A key to make. */
export interface GenerateKeyRequest extends StoreRequest {
  readonly name: string
  readonly replace?: boolean
  /** Absent: the key has none. */
  readonly passphrase?: string
}

/** @throws EXISTS, USAGE (name) */
export const generateKey = (request: GenerateKeyRequest): Promise<KeyEntry> =>
  withKeys(request, 'keys.generate', async (keys, environment) => {
    const { name, replace, passphrase } = request
    const key = await keys.generate(name, {
      ...(replace === undefined ? {} : { replace }),
      ...(passphrase === undefined ? {} : { passphrase }),
    })
    if (name === DEFAULT_KEY) await certify(environment.store, keys, passphrase)
    return { name, keyId: key.keyId, kind: 'private', locked: passphrase !== undefined }
  })

/** Keys of a store, its own and those it trusts. */
export const listKeys = (request: StoreRequest): Promise<KeyList> =>
  withKeys(request, undefined, async (keys) => ({ keys: await entries(keys) }))

async function entries(keys: KeyStore): Promise<KeyEntry[]> {
  return (await keys.list()).map(({ name, keyId, hasPrivate, encrypted }) => ({
    name,
    keyId,
    kind: hasPrivate ? 'private' : 'trusted',
    ...(hasPrivate ? { locked: encrypted } : {}),
  }))
}

/** @throws NOT_FOUND */
export const exportKey = (request: StoreRequest & { readonly name: string }) =>
  withKeys(request, undefined, async (keys): Promise<PublicKeyText> => {
    const { keyId } = await keys.publicKey(request.name)
    return { name: request.name, keyId, pem: await keys.exportPublic(request.name) }
  })

/**
 * Reads a public key for the question whether to trust it: a PEM file, which needs no store, or a
 * key of the store by name or fingerprint. Changes nothing.
 */
export async function readPublicKey(
  request: StoreRequest & { readonly input: string },
): Promise<PublicKeyText> {
  const { input } = request
  if ((await stat(input).catch(() => undefined))?.isFile() === true) {
    const pem = await keyText(input)
    const key = parsePublicKey(Buffer.from(pem), input)
    return { name: key.name ?? null, keyId: key.keyId, pem }
  }
  return await withKeys(request, undefined, async (keys): Promise<PublicKeyText> => {
    const own = (await keys.list()).find(({ name }) => name === input)
    if (own !== undefined) {
      return { name: own.name, keyId: own.keyId, pem: await keys.exportPublic(input) }
    }
    const key = await publicKeyOf(keys, input)
    return { name: key.name ?? null, keyId: key.keyId, pem: '' }
  })
}

/** A key to trust. */
export interface TrustKeyRequest extends StoreRequest {
  /** Path of a PEM file, or a fingerprint (64 hex digits). */
  readonly input: string
  readonly name?: string
}

/** Accepts what a key signs. @throws NOT_FOUND, BAD_INPUT */
export const trustKey = (request: TrustKeyRequest): Promise<KeyEntry> =>
  withKeys(request, 'keys.trust', async (keys) => {
    const key = await publicKeyOf(keys, request.input)
    const named = request.name === undefined ? {} : { name: request.name }
    const trusted = await keys.trust(key, named)
    return { name: trusted.name ?? key.keyId.slice(0, 16), keyId: key.keyId, kind: 'trusted' }
  })

async function publicKeyOf(keys: KeyStore, input: string): Promise<PublicKey> {
  if (!isSha256Hex(input)) return parsePublicKey(Buffer.from(await keyText(input)), input)
  const known = (await keys.trusted()).find((key) => key.keyId === input)
  if (known !== undefined) return known
  throw new AkidbError('NOT_FOUND', `no public key here has the fingerprint ${input}`, {
    hint: 'Give the PEM file; compare the fingerprint that is shown with the one you were told.',
  })
}

const keyText = async (path: string): Promise<string> => (await readBounded(path)).toString('utf8')

async function readBounded(path: string): Promise<Buffer> {
  return await withFsErrors('cannot read', path, async () => {
    const handle = await open(path, 'r')
    try {
      const { size } = await handle.stat()
      if (size <= KEY_FILE_BYTES_MAX) return await handle.readFile()
      throw new AkidbError('BAD_INPUT', `${path} has ${size} bytes: too many for a key`)
    } finally {
      await handle.close()
    }
  })
}

/** Public keys from PEM files: for verifying without a store. */
export async function readKeyFiles(paths: readonly string[]): Promise<PublicKey[]> {
  const keys: PublicKey[] = []
  for (const path of paths) keys.push(parsePublicKey(await readBounded(path), path))
  return keys
}

/** Where a backup goes. */
export interface BackupKeysRequest extends StoreRequest {
  readonly path: string
  /** Replace the file if it exists. */
  readonly force: boolean
  /** Protects the backup; '': nothing does. */
  readonly passphrase: string
}

/** Names of the keys in a backup. */
export interface BackupKeysResult {
  readonly path: string
  readonly keys: readonly string[]
}

/** Writes all keys to a new file of mode 0600. @throws EXISTS */
export const backupKeys = (request: BackupKeysRequest): Promise<BackupKeysResult> =>
  withKeys(request, 'keys.backup', async (keys) => {
    const { path, passphrase } = request
    const bytes = await keys.backup(passphrase === '' ? {} : { passphrase })
    if (request.force) await rm(path, { force: true })
    await withFsErrors('cannot write', path, async () => {
      await makeFolders(dirname(path))
      const handle = await open(path, 'wx', 0o600).catch((error: unknown) => {
        throw fsCode(error) === 'EEXIST' ? fileExists(path) : error
      })
      try {
        await handle.writeFile(bytes)
        await handle.sync()
      } finally {
        await handle.close()
      }
    })
    const own = (await keys.list()).filter((key) => key.hasPrivate)
    return { path, keys: own.map((key) => key.name) }
  })

const fileExists = (path: string): AkidbError =>
  new AkidbError('EXISTS', `the file "${path}" exists`, {
    hint: 'Choose another name, or replace it with --force.',
    details: { file: path },
  })

/** A backup to bring back. */
export interface ImportKeysRequest extends StoreRequest {
  /** What backupKeys wrote. */
  readonly path: string
  readonly passphrase: AskPassphrase
}

/** Brings back the keys of a backup. @throws EXISTS, AUTH (passphrase), BAD_INPUT */
export const importKeys = (request: ImportKeysRequest): Promise<KeyList> =>
  withKeys(request, 'keys.import', async (keys) => {
    const bytes = await readBounded(request.path)
    const names = await restored(keys, bytes, request.passphrase)
    const chosen = new Set(names)
    return { keys: (await entries(keys)).filter((key) => chosen.has(key.name)) }
  })

async function restored(
  keys: KeyStore,
  bytes: Uint8Array,
  ask: AskPassphrase,
): Promise<readonly string[]> {
  try {
    return await keys.restore(bytes)
  } catch (error) {
    if (!(error instanceof AkidbError) || error.code !== 'AUTH') throw error
    const passphrase = await ask({ keyName: 'backup', purpose: 'unlock' })
    return await keys.restore(bytes, { passphrase })
  }
}

/** A key that signs; its passphrase is asked for only where it is locked. */
export async function unlock(keys: KeyStore, name: string, ask: AskPassphrase): Promise<Signer> {
  if (!(await keys.isLocked(name))) return await keys.load(name)
  return await keys.load(name, { passphrase: await ask({ keyName: name, purpose: 'unlock' }) })
}
