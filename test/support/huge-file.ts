import type { ObjectStore } from '../../src/storage/object-store.ts'

/**
 * Plants a file that says that it is a tebibyte long. Whoever reads it, as a whole or in pieces,
 * gets an error that is none of ours.
 */
export async function plantHugeFile(store: ObjectStore, key: string): Promise<void> {
  await store.put(key, Buffer.from('planted'), { mode: 'replace' })
  const bytes = 2 ** 40
  const { head, get, read, list } = store
  const refuse = (): Error => new Error(`${key} was read`)
  const planted: Partial<ObjectStore> = {
    head: async (asked) => {
      const info = await head.call(store, asked)
      return asked === key && info !== undefined ? { ...info, bytes } : info
    },
    get: (asked, range) =>
      asked === key ? Promise.reject(refuse()) : get.call(store, asked, range),
    async *read(asked, options) {
      if (asked === key) throw refuse()
      yield* read.call(store, asked, options)
    },
    async *list(prefix, options) {
      for await (const info of list.call(store, prefix, options)) {
        yield info.key === key ? { ...info, bytes } : info
      }
    },
  }
  Object.assign(store, planted)
}
