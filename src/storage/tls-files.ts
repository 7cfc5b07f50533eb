import { open } from 'node:fs/promises'
import { AkidbError } from '../errors/errors.ts'
import { withFsErrors } from './fs-errors.ts'

/** More than any chain or bundle of authorities has. */
const FILE_BYTES_MAX = 4 * 1024 * 1024
/** Mode bits of group and others. */
const OTHERS = 0o077

/** Paths of PEM files for TLS, as the operator named them. */
export interface TlsPaths {
  /** Certificate authorities that the server is checked against. */
  readonly caFile?: string
  /** For mutual TLS: the client's certificate, and its private key. */
  readonly clientCertFile?: string
  readonly clientKeyFile?: string
}

/** What TLS needs of files. */
export interface TlsFiles {
  readonly ca?: Buffer
  readonly cert?: Buffer
  readonly key?: Buffer
}

/**
 * @param flags beginning of the flags that name the files, for hints: `--s3`
 * @throws NOT_FOUND, AUTH for a file that cannot be read, AUTH for a key that others can read;
 *   USAGE for half a pair, BAD_INPUT for a file over 4 MiB
 */
export async function readTlsFiles(paths: TlsPaths, flags: string): Promise<TlsFiles> {
  const { caFile, clientCertFile, clientKeyFile } = paths
  if ((clientCertFile === undefined) !== (clientKeyFile === undefined)) {
    throw new AkidbError('USAGE', 'a client certificate needs its key, and a key its certificate', {
      hint: `Give both ${flags}-client-cert and ${flags}-client-key.`,
    })
  }
  return {
    ...(caFile === undefined ? {} : { ca: await readPem(caFile) }),
    ...(clientCertFile === undefined ? {} : { cert: await readPem(clientCertFile) }),
    ...(clientKeyFile === undefined ? {} : { key: await readPem(clientKeyFile, 'secret') }),
  }
}

const readPem = (path: string, kind?: 'secret'): Promise<Buffer> =>
  withFsErrors('cannot read', path, async () => {
    const file = await open(path, 'r')
    try {
      const { mode, size } = await file.stat()
      if (size > FILE_BYTES_MAX) throw new AkidbError('BAD_INPUT', `${path} is no PEM file`)
      if (kind === 'secret' && (mode & OTHERS) !== 0) throw openToOthers(path, mode)
      return await file.readFile()
    } finally {
      await file.close()
    }
  })

const openToOthers = (path: string, mode: number): AkidbError =>
  new AkidbError('AUTH', `${path} can be read by others (mode ${(mode & 0o777).toString(8)})`, {
    hint: `chmod 600 ${path}`,
    details: { path },
  })
