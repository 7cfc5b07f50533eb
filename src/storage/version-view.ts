import { AkidbError } from '../errors/errors.ts'
import { checkKey, compareKeys, firstFrom } from './keys.ts'
import type * as store from './object-store.ts'

/** A version that stands for a key. */
export interface ChosenVersion {
  /** Key that it has in the store below. */
  readonly key: string
  readonly versionId: string
  readonly bytes: number
}

/**
 * A store that holds chosen versions of another one, and nothing else: what lies above them there,
 * or beside them, is not seen. Read only.
 *
 * @param chosen by the key that they are to have
 */
export function createVersionView(
  target: store.SealedStore,
  chosen: ReadonlyMap<string, ChosenVersion>,
): store.ObjectStore {
  const keys = [...chosen.keys()].sort(compareKeys)
  const find = (key: string): ChosenVersion => {
    checkKey(key)
    const found = chosen.get(key)
    if (found !== undefined) return found
    throw new AkidbError('NOT_FOUND', `cannot read ${target.url}/${key}: it was not sealed`)
  }
  const read = async function* (
    key: string,
    { offset = 0, pieceBytes }: { offset?: number; pieceBytes?: number } = {},
  ): AsyncGenerator<Uint8Array> {
    const { key: below, versionId } = find(key)
    const pieces = pieceBytes === undefined ? { offset } : { offset, pieceBytes }
    for await (const piece of target.readVersion(below, versionId, pieces)) yield piece.slice()
  }
  return {
    url: target.url,
    capabilities: { ...target.capabilities, conditionalPut: false, append: false },
    get: async (key, range) => {
      const { key: below, versionId, bytes } = find(key)
      return await target.getVersion(below, versionId, range ?? { offset: 0, bytes })
    },
    read,
    head: async (key) => {
      checkKey(key)
      const found = chosen.get(key)
      return found === undefined ? undefined : { key, bytes: found.bytes, modifiedMs: 0 }
    },
    list: async function* (prefix, { after = '', limit = Number.POSITIVE_INFINITY } = {}) {
      let left = limit
      for (let i = firstFrom(keys, after > prefix ? after : prefix); i < keys.length; i++) {
        const key = keys[i] ?? ''
        if (left <= 0 || !key.startsWith(prefix)) return
        if (key <= after) continue
        left--
        yield { key, bytes: chosen.get(key)?.bytes ?? 0, modifiedMs: 0 }
      }
    },
    put: () => refuse(target),
    stage: () => refuse(target),
    delete: () => refuse(target),
    append: () => refuse(target),
    truncate: () => refuse(target),
    nowMs: () => target.nowMs(),
    localPath: () => undefined,
    sweepTemporary: async () => 0,
    close: () => target.close(),
  }
}

const refuse = async (target: store.SealedStore): Promise<never> => {
  throw new AkidbError('AUTH', `${target.url} is sealed: only push and worm write there`, {
    hint: 'Pull it into a store of your own to change it.',
  })
}
