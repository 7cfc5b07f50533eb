import { expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { readLedger } from '../../src/db/sealed/ledger.ts'
import type { ObjectVersion, SealedStore } from '../../src/storage/object-store.ts'

it('a flood of objects beside the seals ends in a limit, not in all memory', async () => {
  const rest = { bytes: 1, modifiedMs: 0, versionId: 'v', isLatest: true, isDeleteMarker: false }
  let listed = 0
  const flood: Pick<SealedStore, 'url' | 'versions'> = {
    url: 's3://evidence/flooded',
    async *versions(prefix): AsyncGenerator<ObjectVersion> {
      while (prefix === 'seals/') yield { key: `seals/${listed++}`, ...rest }
    },
  }
  const refused = { code: 'LIMIT', exitCode: 27, details: { limit: 'sealedWitnessMax' } }
  await expect(readLedger(flood as unknown as SealedStore, [])).rejects.toMatchObject(refused)
  expect(listed).toBeLessThanOrEqual(limits.sealedWitnessMax + 2)
})
