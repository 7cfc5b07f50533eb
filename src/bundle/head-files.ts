import { limits } from '../core/limits.ts'
import { ShapeError } from '../core/shape.ts'
import { INVENTORY_NAME, pageName, stateName, VERIFY_NAME } from './bundle-format.ts'

/** One member between the proof and the blobs, with its size and SHA-256. */
export interface HeadFile {
  readonly path: string
  readonly bytes: number
  readonly sha256: string
}

/** What says which files a head must have. */
interface HeadContents {
  readonly files: readonly HeadFile[]
  readonly collections: readonly { readonly stateRoot: string }[]
  /** `blobs`: of the complete set. */
  readonly totals: { readonly blobs: number }
}

/** Kinds of files in the order in which they stand, each with its names and its limit. */
const KINDS = [
  { kind: 'key', pattern: /^keys\/[0-9a-f]{64}\.(dsse|pem)$/, bytesMax: limits.bundleKeyBytesMax },
  { kind: 'verify', pattern: /^VERIFY\.txt$/, bytesMax: limits.bundleVerifyTextBytesMax },
  { kind: 'state', pattern: /^states\/[0-9a-f]{64}\.json$/, bytesMax: limits.manifestBytesMax },
  { kind: 'page', pattern: /^pages\/\d{5}$/, bytesMax: limits.bundlePageBytesMax },
  {
    kind: 'inventory',
    pattern: /^inner\/inventory\.json$/,
    bytesMax: limits.bundleInventoryBytesMax,
  },
] as const

export type HeadFileKind = (typeof KINDS)[number]['kind']

const rankOf = (path: string): number => KINDS.findIndex((kind) => kind.pattern.test(path))

/** What a file of a checked head is. */
export const headFileKind = (file: HeadFile): HeadFileKind =>
  (KINDS[rankOf(file.path)] as (typeof KINDS)[number]).kind

/**
 * Checks that a head's files are the ones that it must have, in their order, within their limits.
 *
 * @throws ShapeError saying what is wrong
 */
export function checkHeadFiles(head: HeadContents): void {
  let before: HeadFile | undefined
  for (const file of head.files) {
    const kind = KINDS[rankOf(file.path)]
    if (kind === undefined) throw new ShapeError(`files: no member is called ${file.path}`)
    if (file.bytes > kind.bytesMax) throw new ShapeError(`files: ${file.path} is too large`)
    if (before !== undefined && !inOrder(before.path, file.path)) {
      throw new ShapeError(`files: ${file.path} stands after ${before.path}`)
    }
    before = file
  }
  const wanted = new Set([VERIFY_NAME, INVENTORY_NAME])
  for (const item of head.collections) wanted.add(stateName(item.stateRoot))
  const pages = Math.ceil(head.totals.blobs / limits.bundlePageRecordsMax)
  for (let i = 0; i < pages; i++) wanted.add(pageName(i))
  const others = head.files.filter((file) => headFileKind(file) !== 'key')
  if (others.length !== wanted.size || !others.every((file) => wanted.has(file.path))) {
    throw new ShapeError('files: they are not those of its collections and totals')
  }
  const states = head.files.filter((file) => headFileKind(file) === 'state')
  if (!states.every((file) => file.path === stateName(file.sha256))) {
    throw new ShapeError('files: a state has another digest than its name')
  }
}

function inOrder(before: string, after: string): boolean {
  const step = rankOf(after) - rankOf(before)
  return step > 0 || (step === 0 && after > before)
}
