import { describe, expect, it } from 'vitest'
import { verifyBundle } from '../../src/bundle/verify.ts'
import type { BlobRole } from '../../src/format/manifest.ts'
import {
  collectionOf,
  makeBlob,
  packBlob,
  packToBytes,
  pieces,
  requestOf,
  segmentOf,
  stateOf,
  TRUSTED,
} from './support/fixture.ts'
import { type LooseHead, resigned } from './support/forge.ts'

/** A delta that names a blob of a role and does not carry it. */
async function delta(role: BlobRole): Promise<{ digest: string; bytes: Uint8Array }> {
  const [left, carried] = [await makeBlob(100, 'left out', role), await makeBlob(90, 'ids', 'ids')]
  const state = stateOf(segmentOf(0, left, carried))
  const collections = [{ ...collectionOf('docs', state.stateRoot), baseStateRoot: 'c'.repeat(64) }]
  const blobs = [{ ref: left.ref }, packBlob(carried)]
  const bytes = await packToBytes(requestOf({ blobs, states: [state], collections }))
  return { digest: left.ref.digest, bytes }
}

/** The head says that the bundle is whole. */
const asFull = (head: LooseHead): void => {
  head.kind = 'full'
  for (const item of head.collections as LooseHead[]) delete item.baseStateRoot
}

const verify = (bytes: Uint8Array) => verifyBundle({ read: pieces(bytes), keys: TRUSTED })

describe('a delta that is signed as a full bundle', () => {
  it.each<BlobRole>(['vectors', 'codes', 'payload', 'origin', 'fields', 'text', 'pack'])(
    'is refused where it leaves out a blob of role %s, which is named',
    async (role) => {
      const { digest, bytes } = await delta(role)
      expect((await verify(bytes)).problems).toEqual([])
      const { ok, problems } = await verify(await resigned(bytes, asFull))
      expect(ok).toBe(false)
      expect(problems).toContainEqual({
        code: 'INTEGRITY',
        member: 'pages/00000',
        offset: expect.any(Number),
        message: `a full bundle leaves out the ${role} blob ${digest}`,
      })
    },
  )

  it('is taken where it leaves out a graph, which is built anew', async () => {
    const { bytes } = await delta('graph')
    expect((await verify(await resigned(bytes, asFull))).problems).toEqual([])
  })
})
