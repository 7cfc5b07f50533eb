import { sha256Hex } from '../../src/core/digest.ts'
import { limits } from '../../src/core/limits.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import { createCachedStore } from '../../src/storage/cache/cached-store.ts'
import { createMemoryStore } from '../../src/storage/memory-store.ts'

/**
 * Reads 12 blobs through the cache argv[2] of argv[3] bytes, argv[4] times or for ever, pins and
 * unpins, and says a line after each blob; the same blobs in every process.
 */
const store = createMemoryStore({ clock: { nowMs: () => 1 } })
const cached = createCachedStore({
  inner: store,
  folder: process.argv[2] ?? '',
  bytesMax: Number(process.argv[3]),
  warn: ({ message }) => process.stdout.write(`warning ${message}\n`),
})
const keys: string[] = []
for (let i = 0; i < 12; i++) {
  const body = new Uint8Array(2 * limits.cacheChunkBytes + 7).fill(i)
  const digest = sha256Hex(body)
  const key = `blobs/0/${digest.slice(0, 2)}/${digest}`
  await store.put(key, body)
  keys.push(key)
}
const owner = 'ab'.repeat(16)
const bytes = 2 * limits.cacheChunkBytes + 7
for (let round = 0; process.argv[4] === undefined || round < Number(process.argv[4]); round++) {
  for (const [i, key] of keys.entries()) {
    const turn = (i * 5 + round) % keys.length
    const chosen = keys[turn] ?? key
    const body = await cached.get(chosen)
    if (!body.every((byte) => byte === turn)) throw new Error(`${chosen} is another`)
    if (i % 4 === 0) {
      const pinned = { key: keys[round % 3] ?? key, bytes }
      await cached.cache?.pin(owner, round % 2 === 0 ? [pinned] : [])
      await cached.cache?.warm(pinned).catch((error: unknown) => {
        process.stdout.write(`warm ${error instanceof AkidbError ? error.code : error}\n`)
      })
    }
    process.stdout.write(`read ${turn}\n`)
  }
}
await cached.close()
