import { deflateRawSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { ensureReserve, growReserve, RESERVE_FILE } from '../../src/db/states/reserve.ts'
import { AkidbError } from '../../src/errors/errors.ts'
import { createMemoryStore } from '../../src/storage/memory-store.ts'
import type { ObjectStore } from '../../src/storage/object-store.ts'
import { systemClock } from '../../src/storage/system-clock.ts'

const MIB = 1_048_576

/** A state folder on a disk with so much room, the old reserve being there while one is written. */
function diskOf(code: 'NO_SPACE' | 'AUTH' = 'NO_SPACE') {
  const disk = { room: 0, puts: 0 }
  const state = createMemoryStore({ clock: systemClock })
  const put = state.put.bind(state)
  state.put = async (key, body, options) => {
    disk.puts++
    if (body.byteLength > disk.room) throw new AkidbError(code, 'no room')
    return await put(key, body, options)
  }
  return { state, disk }
}

const heldOf = async (state: ObjectStore) => (await state.head(RESERVE_FILE))?.bytes

describe('the reserve', () => {
  it('is as large as there is room for', async () => {
    for (const [room, held] of [
      [20 * MIB, 16 * MIB],
      [16 * MIB - 1, 8 * MIB],
      [3 * MIB, 2 * MIB],
      [300_000, limits.reserveBytesMin],
      [200_000, undefined],
    ] as const) {
      const { state, disk } = diskOf()
      disk.room = room
      await ensureReserve(state)
      expect(await heldOf(state), `room ${room}`).toBe(held)
    }
  })

  it('grows where there is more room, and is not made smaller', async () => {
    const { state, disk } = diskOf()
    disk.room = MIB
    await ensureReserve(state)
    disk.room = 100_000
    await growReserve(state)
    expect(await heldOf(state)).toBe(MIB)
    disk.room = 5 * MIB
    await ensureReserve(state)
    expect(await heldOf(state)).toBe(MIB)
    await growReserve(state)
    expect(await heldOf(state)).toBe(4 * MIB)
    disk.room = 64 * MIB
    await growReserve(state)
    expect(await heldOf(state)).toBe(limits.reserveBytes)
    const { puts } = disk
    await growReserve(state)
    await ensureReserve(state)
    expect(disk.puts).toBe(puts)
  })

  it('takes its room also where the file system compresses', async () => {
    const { state, disk } = diskOf()
    disk.room = MIB
    await ensureReserve(state)
    const body = await state.get(RESERVE_FILE)
    expect(deflateRawSync(body ?? '').byteLength).toBeGreaterThan(MIB * 0.99)
  })

  it('is tried once where something else is wrong, and its lack is no error', async () => {
    const { state, disk } = diskOf('AUTH')
    await ensureReserve(state)
    expect(disk.puts).toBe(1)
    expect(await heldOf(state)).toBeUndefined()
  })
})
