import { describe, expect, it } from 'vitest'
import { openCheckpoint } from '../../src/audit/checkpoint.ts'
import { splitFrames } from '../../src/audit/frames.ts'
import { verifyProof } from '../../src/audit/proof.ts'
import { leafHash, merkleRoot } from '../../src/core/merkle.ts'
import { verifyConsistency } from '../../src/core/merkle-proofs.ts'
import {
  dump,
  entryInput,
  entryInputs,
  memoryStore,
  openReader,
  openTestLog,
  prefixOf,
  testLock,
  testSigner,
} from './support.ts'

const signer = testSigner()
const prefix = prefixOf(signer)

async function collect<T>(entries: AsyncIterable<T>): Promise<T[]> {
  return await Array.fromAsync(entries)
}

describe('an audit log', () => {
  it('starts empty', async () => {
    const log = await openTestLog(memoryStore())
    expect(log.size).toBe(0)
    expect(log.root).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    expect(log.warnings).toEqual([])
    expect(await collect(log.read())).toEqual([])
  })

  it.each([1, 255, 256, 257, 511, 512, 513])('holds %i entries across reopening', async (count) => {
    const store = memoryStore()
    const log = await openTestLog(store)
    const appended = await log.append(entryInputs(count))
    expect(appended).toEqual({ seq: 0, size: count, root: log.root })
    await log.checkpoint()
    const again = await openTestLog(store)
    expect(again.position()).toEqual({ logId: signer.key.keyId, size: count, root: log.root })
    const entries = await collect(again.read())
    expect(entries.map(({ seq }) => seq)).toEqual(Array.from({ length: count }, (_, i) => i))
    const files = await dump(store)
    expect([...files.keys()].filter((key) => key.includes('/tile/0/')).length).toBe(
      Math.floor(count / 256),
    )
    await again.append([entryInput(count)])
    const leaves: Uint8Array[] = []
    for (const [key, bytes] of await dump(store)) {
      if (/\/tile\/entries\/|\/tail\//.test(key))
        leaves.push(...splitFrames(bytes).entries.map(leafHash))
    }
    // In key order: tail before tile.
    const tail = (count + 1) % 256 || 256
    leaves.push(...leaves.splice(0, tail))
    expect(again.root).toBe(Buffer.from(merkleRoot(leaves)).toString('hex'))
  })

  it('proves entries and growth', async () => {
    const store = memoryStore()
    const log = await openTestLog(store)
    await log.append(entryInputs(700))
    const { note } = await log.checkpoint()
    expect(openCheckpoint(note, [signer.key]).size).toBe(700)
    const reader = await openReader(store)
    for (const seq of [0, 1, 255, 256, 511, 512, 699]) {
      const proved = verifyProof(await reader.prove(seq), [signer.key])
      expect([proved.seq, proved.entry.details?.n, proved.root]).toEqual([seq, seq, log.root])
    }
    const bytes = (hex: string) => Buffer.from(hex, 'hex')
    for (const [oldSize, newSize] of [
      [0, 700],
      [1, 700],
      [256, 512],
      [300, 699],
      [512, 700],
      [699, 700],
      [700, 700],
    ] as const) {
      const path = await reader.consistency(oldSize, newSize)
      const claim = {
        oldSize,
        newSize,
        oldRoot: bytes(await log.rootAt(oldSize)),
        newRoot: bytes(await log.rootAt(newSize)),
        path,
      }
      expect(verifyConsistency(claim), `${oldSize} ${newSize}`).toBe(true)
    }
  })

  it('sees what another process appended', async () => {
    const store = memoryStore()
    const lock = testLock()
    const a = await openTestLog(store, { lock })
    const b = await openTestLog(store, { lock })
    for (let i = 0; i < 40; i++) {
      await Promise.all([a.append(entryInputs(13)), b.append(entryInputs(19))])
    }
    await a.refresh()
    await b.refresh()
    expect(a.position()).toEqual(b.position())
    expect(a.size).toBe(40 * 32)
    expect((await openTestLog(store)).root).toBe(a.root)
  })
})
void prefix
