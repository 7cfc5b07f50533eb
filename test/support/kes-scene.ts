import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { type Authority, type CertificateFiles, makeAuthority } from './certificates.ts'
import { type KesServer, startKesServer } from './kes-server.ts'
import { later } from './later.ts'

export interface KesScene<Client extends string> {
  readonly server: KesServer
  readonly authority: Authority
  /** Certificates of the clients, by their names. */
  readonly clients: Readonly<Record<Client, CertificateFiles>>
  /** How a client reaches the server. Failures are soon given up. */
  accessOf(client: CertificateFiles): {
    readonly endpoint: string
    readonly caFile: string
    readonly clientCertFile: string
    readonly clientKeyFile: string
    readonly timeoutMs: number
    readonly retryForMs: number
  }
}

/**
 * A key server over TLS for the tests of a `describeTls`: called in its body, or in a file that has
 * no others, before other hooks. All that was started ends after them. Used before, it is an error.
 *
 * @param clients what each may ask for: beginnings of paths; "/" is all, none a stranger
 * @param lasts   whether each test has a server of its own, without keys, or all have one
 */
export function kesScene<Client extends string>(
  clients: Readonly<Record<Client, readonly string[]>>,
  lasts: 'each test' | 'all tests',
): KesScene<Client> {
  const names = Object.keys(clients) as Client[]
  const issued = new Map<string, CertificateFiles>()
  let authority: Authority | undefined
  let server: KesServer | undefined
  const fileOf = (name: string) => later(`the certificate ${name}`, () => issued.get(name))
  beforeAll(() => {
    authority = makeAuthority()
    for (const name of names) issued.set(name, authority.issue(name))
    issued.set('of the server', authority.issue('server', 'IP:127.0.0.1'))
  })
  afterAll(() => authority?.remove())

  const [before, after] =
    lasts === 'each test' ? [beforeEach, afterEach] : ([beforeAll, afterAll] as const)
  before(async () => {
    const policies = Object.fromEntries(
      names.map((name) => [fileOf(name).identity, clients[name]] as const),
    )
    server = await startKesServer({ server: fileOf('of the server'), policies })
  })
  after(() => server?.close())

  const scene = {
    server: later('the key server', () => server),
    authority: later('the authority', () => authority),
    clients: Object.fromEntries(names.map((name) => [name, fileOf(name)])) as Record<
      Client,
      CertificateFiles
    >,
  }
  return {
    ...scene,
    accessOf: ({ certFile, keyFile }) => ({
      endpoint: scene.server.url,
      caFile: scene.authority.certFile,
      clientCertFile: certFile,
      clientKeyFile: keyFile,
      timeoutMs: 5_000,
      retryForMs: 0,
    }),
  }
}
