import { execFileSync, spawnSync } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe } from 'vitest'

/** PEM files of one certificate and its private key (mode 0600). */
export interface CertificateFiles {
  readonly certFile: string
  readonly keyFile: string
  /** SHA-256 of its SubjectPublicKeyInfo, hex: how KES names its owner. */
  readonly identity: string
}

/** An authority made for one test file; node itself can make no certificates. */
export interface Authority extends CertificateFiles {
  /** A certificate of its own for a client, or for a server at these names. */
  issue(name: string, hosts?: string): CertificateFiles
  remove(): void
}

const hasOpenssl = spawnSync('openssl', ['version']).status === 0

/**
 * Tests that need certificates. Without openssl on the PATH they are skipped, which one line says;
 * with CI=true the file fails.
 */
export function describeTls(name: string, body: () => void): void {
  if (!hasOpenssl && process.env.CI === 'true') {
    throw new Error('openssl is not on the PATH, and CI=true needs it')
  }
  if (!hasOpenssl) writeSync(2, `openssl is not on the PATH: "${name}" is skipped\n`)
  describe.skipIf(!hasOpenssl)(name, body)
}

export function makeAuthority(): Authority {
  const folder = mkdtempSync(join(tmpdir(), 'akidb-tls-'))
  const at = (name: string): string => join(folder, name)
  const openssl = (...args: readonly string[]) => execFileSync('openssl', args, { stdio: 'pipe' })
  const filesOf = (name: string): CertificateFiles => ({
    certFile: at(`${name}.crt`),
    keyFile: at(`${name}.key`),
    identity: identityOf(new X509Certificate(readFileSync(at(`${name}.crt`)))),
  })
  const key = (name: string) => {
    openssl('ecparam', '-genkey', '-name', 'prime256v1', '-noout', '-out', at(`${name}.key`))
    execFileSync('chmod', ['600', at(`${name}.key`)])
  }
  key('ca')
  const subject = ['-subj', '/CN=akidb test authority', '-days', '2']
  openssl('req', '-x509', '-new', '-key', at('ca.key'), '-out', at('ca.crt'), ...subject)
  return {
    ...filesOf('ca'),
    issue(name, hosts) {
      key(name)
      const use = hosts === undefined ? 'clientAuth' : `serverAuth\nsubjectAltName=${hosts}`
      writeFileSync(at(`${name}.ext`), `extendedKeyUsage=${use}\n`)
      const request = ['-key', at(`${name}.key`), '-subj', `/CN=${name}`, '-out', at(`${name}.csr`)]
      openssl('req', '-new', ...request)
      const from = ['-CA', at('ca.crt'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', '2']
      const of = ['-in', at(`${name}.csr`), '-extfile', at(`${name}.ext`)]
      openssl('x509', '-req', ...of, ...from, '-out', at(`${name}.crt`))
      return filesOf(name)
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

export const identityOf = (certificate: X509Certificate): string =>
  createHash('sha256')
    .update(certificate.publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')
