import { exportBundle, importBundle } from '../../src/index.ts'

/** Imports or exports one bundle in a process of its own; the test kills it. */
const [act, url, path] = process.argv.slice(2)
if (url === undefined || path === undefined) throw new Error('called with an act, store, bundle')
process.send?.('begins')
if (act === 'import') await importBundle({ url, input: { path } })
else {
  await exportBundle({
    url,
    collections: ['docs'],
    output: { path, force: true },
    key: 'default',
    passphrase: () => Promise.reject(new Error('no key is locked')),
  })
}
process.disconnect?.()
