import { describe, expect, it } from 'vitest'
import { sha256 } from '../../src/core/digest.ts'
import { leafHash, merkleRoot, merkleRootOfRecords, nodeHash } from '../../src/core/merkle.ts'
import {
  consistencyRanges,
  foldSubtrees,
  inclusionRanges,
  type LeafRange,
  perfectSubtrees,
  verifyConsistency,
  verifyInclusion,
} from '../../src/core/merkle-proofs.ts'
import { TileTree } from '../../src/core/merkle-tiles.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))

/** The eight leaves of the tests of Certificate Transparency (certificate-transparency-go). */
const LEAVES = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
].map((text) => leafHash(unhex(text)))

const ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]

const PATH_0_OF_8 = [
  '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
  '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
  '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
]

const leavesOf = (count: number): Uint8Array[] =>
  Array.from({ length: count }, (_, i) => leafHash(Buffer.from(`leaf ${i}`)))
const hashRange = (leaves: readonly Uint8Array[], { start, end }: LeafRange): Uint8Array =>
  merkleRoot(leaves.slice(start, end))
const rootOf = (leaves: readonly Uint8Array[], size: number): Uint8Array =>
  merkleRoot(leaves.slice(0, size))

describe('a Merkle tree', () => {
  it('has the roots of the published vectors', () => {
    expect(ROOTS.map((_, size) => hex(rootOf(LEAVES, size)))).toEqual(ROOTS)
  })

  it('has the root that the definition of RFC 6962 gives, of leaves and of records', () => {
    const mth = (leaves: readonly Uint8Array[]): Uint8Array => {
      if (leaves.length < 2) return leaves[0] ?? new Uint8Array(sha256())
      let half = 1
      while (half * 2 < leaves.length) half *= 2
      return nodeHash(mth(leaves.slice(0, half)), mth(leaves.slice(half)))
    }
    for (let count = 0; count < 40; count++) {
      const recordBytes = 1 + (count % 32)
      const records = Array.from({ length: count }, (_, i) =>
        sha256(Uint8Array.of(i)).subarray(0, recordBytes),
      )
      const leaves = records.map(leafHash)
      const before = leaves.map(hex)
      const expected = hex(mth(leaves))
      expect(hex(merkleRoot(leaves))).toBe(expected)
      expect(leaves.map(hex)).toEqual(before)
      expect(hex(merkleRootOfRecords(Buffer.concat(records), recordBytes))).toBe(expected)
    }
    expect(() => merkleRootOfRecords(new Uint8Array(33), 32)).toThrow(RangeError)
  })

  it('proves a leaf with the hashes of the published vector', () => {
    const path = inclusionRanges(0, 8).map((range) => hex(hashRange(LEAVES, range)))
    expect(path).toEqual(PATH_0_OF_8)
    expect(inclusionRanges(0, 1)).toEqual([])
  })

  it('grows to the same root leaf by leaf, and a range is the fold of its full subtrees', () => {
    const leaves = leavesOf(130)
    const tree = new TileTree()
    for (let size = 0; size <= leaves.length; size++) {
      expect(hex(tree.root()), `size ${size}`).toBe(hex(rootOf(leaves, size)))
      if (size > 0) {
        const parts = perfectSubtrees({ start: 0, end: size })
        const hashes = parts.map(({ start, height }) =>
          hashRange(leaves, { start, end: start + 2 ** height }),
        )
        expect(hex(foldSubtrees(hashes))).toBe(hex(tree.root()))
      }
      const next = leaves[size]
      if (next !== undefined) tree.push(next)
    }
  })

  it('fills tiles of 256 hashes and goes on from its open tiles', () => {
    const leaves = leavesOf(256 * 256 + 300)
    const tree = new TileTree()
    const tiles = leaves.flatMap((leaf) => tree.push(leaf))
    expect(tiles.map(({ level }) => level).filter((level) => level === 1)).toEqual([1])
    expect(tiles.filter(({ level }) => level === 0).map(({ index }) => index)).toEqual(
      Array.from({ length: 257 }, (_, i) => i),
    )
    expect(hex(tiles[3]?.bytes.subarray(32, 64) ?? new Uint8Array(0))).toBe(
      hex(leaves[3 * 256 + 1] ?? new Uint8Array(0)),
    )
    const first = rootOf(leaves, 256 * 256)
    const second = merkleRoot(leaves.slice(256 * 256, 256 * 257))
    const again = new TileTree([leaves.slice(256 * 257), [second], [first]])
    expect(again.size).toBe(leaves.length)
    expect(hex(again.root())).toBe(hex(merkleRoot(leaves)))
    expect(hex(tree.root())).toBe(hex(again.root()))
  })

  it('refuses leaves and sizes that do not exist', () => {
    for (const [index, size] of [
      [0, 0],
      [1, 1],
      [-1, 2],
      [0.5, 2],
      [2, 1],
    ] as const) {
      expect(() => inclusionRanges(index, size)).toThrow(RangeError)
    }
    for (const [oldSize, newSize] of [
      [2, 1],
      [-1, 1],
      [0.5, 1],
      [1, Number.NaN],
    ] as const) {
      expect(() => consistencyRanges(oldSize, newSize)).toThrow(RangeError)
    }
  })
})

describe('an inclusion proof', () => {
  const leaves = leavesOf(40)

  it('holds for every leaf of every size, and for no other leaf, index, size or root', () => {
    for (let size = 1; size <= leaves.length; size++) {
      const root = rootOf(leaves, size)
      for (let index = 0; index < size; index++) {
        const leaf = leaves[index] ?? root
        const path = inclusionRanges(index, size).map((range) => hashRange(leaves, range))
        const claim = { leaf, index, size, path, root }
        const where = `${index} of ${size}`
        expect(verifyInclusion(claim), where).toBe(true)
        expect(verifyInclusion({ ...claim, root: leafHash(root) }), where).toBe(false)
        expect(verifyInclusion({ ...claim, leaf: leafHash(leaf) }), where).toBe(false)
        for (let other = 0; other < size; other++) {
          if (other !== index)
            expect(verifyInclusion({ ...claim, index: other }), where).toBe(false)
        }
      }
    }
  })

  it('is refused with a hash too few, too many, too short, changed, or swapped sizes', () => {
    const [index, size] = [5, 23]
    const path = inclusionRanges(index, size).map((range) => hashRange(leaves, range))
    const claim = { leaf: leaves[index] ?? path[0] ?? leafHash(Buffer.of()), index, size, path }
    const root = rootOf(leaves, size)
    expect(verifyInclusion({ ...claim, root })).toBe(true)
    for (let i = 0; i < path.length; i++) {
      const changed = path.with(i, leafHash(path[i] ?? root))
      expect(verifyInclusion({ ...claim, root, path: path.toSpliced(i, 1) })).toBe(false)
      expect(verifyInclusion({ ...claim, root, path: changed })).toBe(false)
    }
    expect(verifyInclusion({ ...claim, root, path: [...path, root] })).toBe(false)
    expect(verifyInclusion({ ...claim, root, path: [root, ...path] })).toBe(false)
    expect(verifyInclusion({ ...claim, root, path: path.map((h) => h.subarray(1)) })).toBe(false)
    expect(verifyInclusion({ ...claim, root: root.subarray(1) })).toBe(false)
    for (const [i, s] of [
      [size, size],
      [size, index],
      [-1, size],
      [0, 0],
      [0.5, size],
    ] as const) {
      expect(verifyInclusion({ ...claim, root, index: i, size: s })).toBe(false)
    }
  })
})

describe('a consistency proof', () => {
  const leaves = leavesOf(40)

  it('holds for every pair of sizes, and for no other root', () => {
    for (let newSize = 0; newSize <= leaves.length; newSize++) {
      for (let oldSize = 0; oldSize <= newSize; oldSize++) {
        const path = consistencyRanges(oldSize, newSize).map((range) => hashRange(leaves, range))
        const [oldRoot, newRoot] = [rootOf(leaves, oldSize), rootOf(leaves, newSize)]
        const claim = { oldSize, newSize, oldRoot, newRoot, path }
        const where = `${oldSize} in ${newSize}`
        expect(verifyConsistency(claim), where).toBe(true)
        if (oldSize === 0) continue
        expect(verifyConsistency({ ...claim, newRoot: leafHash(newRoot) }), where).toBe(false)
        expect(verifyConsistency({ ...claim, oldRoot: leafHash(oldRoot) }), where).toBe(false)
        expect(verifyConsistency({ ...claim, path: [...path, oldRoot] }), where).toBe(false)
        if (path.length > 0) {
          expect(verifyConsistency({ ...claim, path: path.slice(1) }), where).toBe(false)
          expect(verifyConsistency({ ...claim, path: path.slice(0, -1) }), where).toBe(false)
        }
      }
    }
  })

  it('is refused with swapped sizes, and with hashes where none belong', () => {
    const [oldRoot, newRoot] = [rootOf(leaves, 4), rootOf(leaves, 9)]
    const path = consistencyRanges(4, 9).map((range) => hashRange(leaves, range))
    const claim = { oldSize: 4, newSize: 9, oldRoot, newRoot, path }
    expect(verifyConsistency(claim)).toBe(true)
    expect(verifyConsistency({ ...claim, oldSize: 9, newSize: 4 })).toBe(false)
    expect(verifyConsistency({ ...claim, oldSize: 0 })).toBe(false)
    expect(verifyConsistency({ ...claim, oldSize: -4 })).toBe(false)
    expect(verifyConsistency({ ...claim, newSize: 9.5 })).toBe(false)
  })
})
