import type { RandomBytes } from '../core/clock.ts'
import { sha256Hex } from '../core/digest.ts'
import { AkidbError } from '../errors/errors.ts'
import { decodeBase64, decodeUtf8, encodeBase64 } from './base64.ts'
import { isPassphraseBox, openWithPassphrase, sealWithPassphrase } from './passphrase-box.ts'

const FORMAT = 'akidb-keys-backup/1'
/** Longest backup, and most files in one. */
const BACKUP_BYTES_MAX = 4 * 1024 * 1024
const BACKUP_FILES_MAX = 10_000

export interface BackupEntry {
  readonly name: string
  readonly bytes: Uint8Array
}

export interface BackupOptions {
  /** ISO 8601, UTC. */
  readonly createdAt: string
  /** Absent: the entries stand there as they are. */
  readonly passphrase?: string
  readonly random: RandomBytes
}

/**
 * All files of a key store in one JSON file with their digest, encrypted where there is a
 * passphrase.
 */
export async function encodeBackup(
  entries: readonly BackupEntry[],
  options: BackupOptions,
): Promise<Uint8Array> {
  const files = entries.map(({ name, bytes }) => ({ name, bytes: encodeBase64(bytes) }))
  const content = JSON.stringify(files)
  const head = { format: FORMAT, createdAt: options.createdAt }
  const body =
    options.passphrase === undefined
      ? { sha256: sha256Hex(Buffer.from(content, 'utf8')), files }
      : { box: await sealWithPassphrase(Buffer.from(content), options.passphrase, options.random) }
  return new Uint8Array(Buffer.from(`${JSON.stringify({ ...head, ...body }, null, 2)}\n`, 'utf8'))
}

/**
 * The files of a backup.
 * @throws BAD_INPUT where it is no backup, INTEGRITY where it is damaged, AUTH where the
 *   passphrase is missing or wrong
 */
export async function decodeBackup(
  bytes: Uint8Array,
  passphrase: string | undefined,
): Promise<readonly BackupEntry[]> {
  if (bytes.length > BACKUP_BYTES_MAX) throw notABackup()
  const value = parseObject(decodeUtf8(bytes))
  if (value?.format !== FORMAT) throw notABackup()
  if (value.box !== undefined) return toEntries(parseJson(await openBackup(value.box, passphrase)))
  const digest = sha256Hex(Buffer.from(JSON.stringify(value.files) ?? '', 'utf8'))
  if (value.sha256 !== digest) throw damagedBackup()
  return toEntries(value.files)
}

async function openBackup(box: unknown, passphrase: string | undefined): Promise<string> {
  if (!isPassphraseBox(box)) throw damagedBackup()
  if (passphrase === undefined) {
    throw new AkidbError('AUTH', 'the backup is locked by a passphrase', {
      hint: 'Give it with --passphrase-file, or run the command on a terminal.',
    })
  }
  return decodeUtf8(await openWithPassphrase(box, passphrase, 'the backup')) ?? ''
}

function toEntries(value: unknown): BackupEntry[] {
  if (!Array.isArray(value) || value.length > BACKUP_FILES_MAX) throw damagedBackup()
  const entries: BackupEntry[] = []
  for (const file of value as unknown[]) {
    if (typeof file !== 'object' || file === null) throw damagedBackup()
    const { name, bytes: text } = file as Record<string, unknown>
    const bytes = typeof text === 'string' ? decodeBase64(text) : undefined
    if (typeof name !== 'string' || bytes === undefined) throw damagedBackup()
    entries.push({ name, bytes })
  }
  return entries
}

function parseObject(text: string | undefined): Record<string, unknown> | undefined {
  const value = text === undefined ? undefined : parseJson(text)
  return typeof value === 'object' && value !== null
    ? (value as Record<string, unknown>)
    : undefined
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const notABackup = (): AkidbError =>
  new AkidbError('BAD_INPUT', 'this file is no backup of keys', {
    hint: 'Give the file that "akidb keys backup" wrote.',
  })

const damagedBackup = (): AkidbError =>
  new AkidbError('INTEGRITY', 'the backup of keys is damaged', { hint: 'Use another copy of it.' })
