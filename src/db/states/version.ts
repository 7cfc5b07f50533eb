import { kernelFingerprint } from '../../ann/self-test.ts'
import { akidbVersion } from '../../storage/package-version.ts'

/** Versions of akidb and its parts, and the formats that it reads and writes. */
export interface VersionInfo {
  readonly akidb: string
  readonly node: string
  /** Of the search engine: the kernel's kind and the start of its digest. */
  readonly engine: string
  readonly zstd: string
  readonly formats: { readonly read: readonly string[]; readonly write: readonly string[] }
}

/** Versions of everything that decides bytes. */
export const versionInfo = (): VersionInfo => ({
  akidb: akidbVersion(),
  node: process.versions.node,
  engine: `wasm-${kernelFingerprint().slice(0, 12)}`,
  zstd: process.versions.zstd ?? 'none',
  formats: {
    read: ['SEGv1', 'akidb-manifest/1', 'akidb-bundle/1'],
    write: ['SEGv1', 'akidb-manifest/1', 'akidb-bundle/1'],
  },
})
