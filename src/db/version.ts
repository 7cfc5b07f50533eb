import { readFileSync } from 'node:fs'
import { kernelFingerprint } from '../ann/self-test.ts'

/** Version of this package. */
export function akidbVersion(): string {
  const file = new URL('../../package.json', import.meta.url)
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string }
  return version
}

/** Versions of everything that decides bytes. */
export const versionInfo = () => ({
  akidb: akidbVersion(),
  node: process.versions.node,
  engine: `wasm-${kernelFingerprint().slice(0, 12)}`,
  zstd: process.versions.zstd ?? 'none',
  formats: {
    read: ['SEGv1', 'akidb-manifest/1', 'akidb-bundle/1'],
    write: ['SEGv1', 'akidb-manifest/1', 'akidb-bundle/1'],
  },
})
