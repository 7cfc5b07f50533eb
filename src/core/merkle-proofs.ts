import { nodeHash } from './merkle.ts'

/** Leaves `start` to `end` − 1 of a tree. */
export interface LeafRange {
  readonly start: number
  readonly end: number
}

/** A full subtree: 2^height leaves from `start`, a multiple of that. */
export interface PerfectSubtree {
  readonly start: number
  readonly height: number
}

/**
 * Ranges whose hashes prove that leaf `index` is in the tree of `size` leaves, the leaf's sibling
 * first.
 * @throws RangeError unless 0 ≤ index < size
 * Source: RFC 6962 §2.1.1.
 */
export function inclusionRanges(index: number, size: number): LeafRange[] {
  if (!isCount(index) || !isCount(size) || index >= size) throw new RangeError('no such leaf')
  const ranges: LeafRange[] = []
  let [start, end] = [0, size]
  while (end - start > 1) {
    const middle = start + splitPoint(end - start)
    if (index < middle) {
      ranges.push({ start: middle, end })
      end = middle
    } else {
      ranges.push({ start, end: middle })
      start = middle
    }
  }
  return ranges.reverse()
}

/**
 * Ranges whose hashes prove that the tree of `oldSize` leaves is a prefix of the one of `newSize`.
 * Empty where one of them is empty or both are the same.
 * @throws RangeError unless 0 ≤ oldSize ≤ newSize
 * Source: RFC 6962 §2.1.2.
 */
export function consistencyRanges(oldSize: number, newSize: number): LeafRange[] {
  if (!isCount(oldSize) || !isCount(newSize) || oldSize > newSize) {
    throw new RangeError('sizes are swapped or no counts')
  }
  if (oldSize === 0) return []
  const ranges: LeafRange[] = []
  let [start, end] = [0, newSize]
  while (oldSize < end) {
    const middle = start + splitPoint(end - start)
    if (oldSize <= middle) {
      ranges.push({ start: middle, end })
      end = middle
    } else {
      ranges.push({ start, end: middle })
      start = middle
    }
  }
  // The verifier knows the old root itself, so it is left out where it is a subtree of the new
  // tree.
  if (start > 0) ranges.push({ start, end })
  return ranges.reverse()
}

/**
 * Whether `path` proves `leaf` (a leaf hash) at `index` under `root`. Never throws.
 * Source: RFC 9162 §2.1.3.2.
 */
export function verifyInclusion(claim: {
  readonly leaf: Uint8Array
  readonly index: number
  readonly size: number
  readonly path: readonly Uint8Array[]
  readonly root: Uint8Array
}): boolean {
  const { leaf, index, size, path, root } = claim
  if (!isCount(index) || !isCount(size) || index >= size) return false
  if (![leaf, root, ...path].every(isHash)) return false
  let [node, last] = [index, size - 1]
  let hash = leaf
  for (const sibling of path) {
    if (last === 0) return false
    if (isOdd(node) || node === last) {
      hash = nodeHash(sibling, hash)
      while (!isOdd(node) && node !== 0) [node, last] = [half(node), half(last)]
    } else {
      hash = nodeHash(hash, sibling)
    }
    ;[node, last] = [half(node), half(last)]
  }
  return last === 0 && sameHash(hash, root)
}

/**
 * Whether `path` proves that the tree (oldSize, oldRoot) is a prefix of (newSize, newRoot). Never
 * throws.
 * From an empty tree, or between equal sizes, only an empty path is right.
 * Source: RFC 9162 §2.1.4.2.
 */
export function verifyConsistency(claim: {
  readonly oldSize: number
  readonly newSize: number
  readonly oldRoot: Uint8Array
  readonly newRoot: Uint8Array
  readonly path: readonly Uint8Array[]
}): boolean {
  const { oldSize, newSize, oldRoot, newRoot, path } = claim
  if (!isCount(oldSize) || !isCount(newSize) || oldSize > newSize) return false
  if (![oldRoot, newRoot, ...path].every(isHash)) return false
  if (oldSize === newSize) return path.length === 0 && sameHash(oldRoot, newRoot)
  if (oldSize === 0) return path.length === 0
  const hashes = isPowerOfTwo(oldSize) ? [oldRoot, ...path] : path
  const [first, ...siblings] = hashes
  if (first === undefined) return false
  let [node, last] = [oldSize - 1, newSize - 1]
  while (isOdd(node)) [node, last] = [half(node), half(last)]
  let [oldHash, newHash] = [first, first]
  for (const sibling of siblings) {
    if (last === 0) return false
    if (isOdd(node) || node === last) {
      oldHash = nodeHash(sibling, oldHash)
      newHash = nodeHash(sibling, newHash)
      while (!isOdd(node) && node !== 0) [node, last] = [half(node), half(last)]
    } else {
      newHash = nodeHash(newHash, sibling)
    }
    ;[node, last] = [half(node), half(last)]
  }
  return last === 0 && sameHash(oldHash, oldRoot) && sameHash(newHash, newRoot)
}

/** The full subtrees that a range consists of, from left to right; their fold is its hash. */
export function perfectSubtrees({ start, end }: LeafRange): PerfectSubtree[] {
  const subtrees: PerfectSubtree[] = []
  for (let at = start; at < end; ) {
    let [leaves, height] = [1, 0]
    while (at % (leaves * 2) === 0 && at + leaves * 2 <= end) {
      leaves *= 2
      height += 1
    }
    subtrees.push({ start: at, height })
    at += leaves
  }
  return subtrees
}

/**
 * Hash of neighbouring subtrees that shrink from left to right, as those of a tree's right edge do.
 * @throws RangeError for none
 */
export function foldSubtrees(hashes: readonly Uint8Array[]): Uint8Array {
  const last = hashes.at(-1)
  if (last === undefined) throw new RangeError('no subtrees')
  return hashes.slice(0, -1).reduceRight((right, left) => nodeHash(left, right), last)
}

/** Whether two hashes are the same bytes. Hashes are public: the time it takes tells nothing. */
export const sameHash = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i])

/** The largest power of two below `leaves` (≥ 2). */
function splitPoint(leaves: number): number {
  let split = 1
  while (split * 2 < leaves) split *= 2
  return split
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0
const isHash = (hash: Uint8Array): boolean => hash.length === 32
const isOdd = (value: number): boolean => value % 2 === 1
const half = (value: number): number => Math.floor(value / 2)

function isPowerOfTwo(value: number): boolean {
  let power = 1
  while (power < value) power *= 2
  return power === value
}
