import { AkidbError } from '../errors/errors.ts'

/** Keys of one audit log under its folder. See docs/audit.md. */
export interface AuditKeys {
  /** Ends with '/', or is empty where the log lies at the root of the store. */
  readonly folder: string
  readonly publicKey: string
  readonly checkpoint: string
  /** Checkpoints anchored in a bucket: `<size>-<root>` each. */
  readonly anchors: string
  /** Entries of a log in a bucket: from `from` to `to` − 1, in one object that is never changed. */
  piece(from: number, to: number): string
  /** Entries of a closed batch. */
  entries(batch: number): string
  /** Entries of the open batch. */
  tail(batch: number): string
  tile(level: number, index: number): string
}

/** What a key under `tile/` or `tail/` holds. */
export type NamedBatch =
  | { readonly kind: 'entries' | 'tail'; readonly index: number }
  | { readonly kind: 'tile'; readonly level: number; readonly index: number }

/** Keys of the log in folder `prefix`, with or without a '/' at its end. */
export function auditKeys(prefix: string): AuditKeys {
  const folder = prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`
  return {
    folder,
    publicKey: `${folder}key.pem`,
    checkpoint: `${folder}checkpoint`,
    anchors: `${folder}checkpoint/`,
    piece: (from, to) => `${folder}pieces/${twentyDigits(from)}-${twentyDigits(to)}`,
    entries: (batch) => `${folder}tile/entries/${indexPath(batch)}`,
    tail: (batch) => `${folder}tail/${indexPath(batch)}`,
    tile: (level, index) => `${folder}tile/${level}/${indexPath(index)}`,
  }
}

const twentyDigits = (count: number): string => String(count).padStart(20, '0')

/** Certificate of a log's public key: who vouches for it. */
export const certificateKey = (logId: string): string => `audit/${logId}/key.dsse`

/** Entries that a piece's key speaks of; undefined for other keys. */
export function parsePieceKey(
  keys: AuditKeys,
  key: string,
): { readonly from: number; readonly to: number } | undefined {
  const [, first, end] = /pieces\/(\d{20})-(\d{20})$/.exec(key) ?? []
  const [from, to] = [Number(first), Number(end)]
  return Number.isSafeInteger(to) && from < to && keys.piece(from, to) === key
    ? { from, to }
    : undefined
}

/** The log id that a folder is named by, where it is named by one. */
export function logIdOf(keys: AuditKeys): string | undefined {
  return /(?:^|\/)([0-9a-f]{64})\/$/.exec(keys.folder)?.[1]
}

/** What a key of the log holds; undefined for keys that are no batch and no full tile. */
export function parseBatchKey(keys: AuditKeys, key: string): NamedBatch | undefined {
  const rest = key.slice(keys.folder.length)
  const match = /^(?:(tail)|tile\/(entries|0|[1-9]\d?))\/((?:x\d{3}\/)*\d{3})$/.exec(rest)
  if (match === null || !key.startsWith(keys.folder)) return undefined
  const [, tail, place, path = ''] = match
  const index = Number(path.replaceAll(/[x/]/g, ''))
  if (!Number.isSafeInteger(index) || indexPath(index) !== path) return undefined
  if (tail !== undefined) return { kind: 'tail', index }
  if (place === 'entries') return { kind: 'entries', index }
  return { kind: 'tile', level: Number(place), index }
}

/** 1234067 → x001/x234/067. Source: C2SP tlog-tiles. */
function indexPath(index: number): string {
  const digits = String(index)
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, '0')
  const parts = padded.match(/\d{3}/g) ?? []
  return parts.map((part, i) => (i + 1 < parts.length ? `x${part}` : part)).join('/')
}

/** The error for a log that contradicts itself or what was said of it. */
export const brokenLog = (folder: string, what: string, seq?: number): AkidbError =>
  new AkidbError('AUDIT_BROKEN', `audit log ${folder}: ${what}`, {
    hint: 'Run `akidb audit verify` for the whole list; keep the folder as it is for evidence.',
    details: { folder, ...(seq === undefined ? {} : { seq }) },
  })
