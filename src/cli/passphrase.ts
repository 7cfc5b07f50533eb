import { AkidbError } from '../errors/errors.ts'
import type { AskPassphrase } from '../index.ts'
import type { Io } from './io.ts'
import type { Ask } from './prompts.ts'
import { readSecretFile } from './secret-file.ts'
import type { Settings } from './settings.ts'

const PASSPHRASE_BYTES_MAX = 4_096
const COMMAND_TIMEOUT_MS = 60_000

/** Where passphrases come from: a file, stdin, a command, a person; never a flag's value. */
export interface Passphrases {
  /** From a file, stdin or command, where one is configured; undefined otherwise. Asks nobody. */
  given(): Promise<string | undefined>
  /** Given, or asked for; AUTH where nobody can answer. */
  readonly ask: AskPassphrase
}

export function createPassphrases(io: Io, settings: Settings, ask: Ask): Passphrases {
  let read: Promise<string | undefined> | undefined
  const given = () => {
    read ??= readGiven(io, settings)
    return read
  }
  return {
    given,
    async ask({ keyName, purpose }) {
      const passphrase = await given()
      if (passphrase !== undefined) return passphrase
      if (!ask.possible) {
        throw new AkidbError(
          'AUTH',
          purpose === 'unlock'
            ? `the key "${keyName}" needs a passphrase and nobody can be asked`
            : `a passphrase for "${keyName}" is needed and nobody can be asked`,
          {
            hint: 'Give --passphrase-file <file> (mode 0600), or set passphraseCommand.',
            details: { key: keyName },
          },
        )
      }
      if (purpose === 'unlock') {
        return await ask.secret(`Passphrase of the key "${keyName}":`, '--passphrase-file')
      }
      const first = await ask.secret(`New passphrase for "${keyName}":`, '--passphrase-file')
      const second = await ask.secret('The same again:', '--passphrase-file')
      if (first === second) return first
      throw new AkidbError('USAGE', 'the two passphrases differ')
    },
  }
}

async function readGiven(io: Io, settings: Settings): Promise<string | undefined> {
  const file = settings.text('passphraseFile')
  if (file === '-') return firstLine(await readStdin(io), 'stdin')
  if (file !== undefined) return firstLine(await readPassphraseFile(file), `"${file}"`)
  const command = settings.text('passphraseCommand')
  return command === undefined
    ? undefined
    : firstLine(await runCommand(command), 'passphraseCommand')
}

const readPassphraseFile = (path: string): Promise<Buffer> =>
  readSecretFile(path, 'passphrase file', PASSPHRASE_BYTES_MAX)

async function readStdin(io: Io): Promise<Buffer> {
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of io.stdin) {
    pieces.push(Buffer.from(piece))
    bytes += piece.length
    if (bytes > PASSPHRASE_BYTES_MAX) break
  }
  return Buffer.concat(pieces)
}

async function runCommand(command: string): Promise<Buffer> {
  // Loading it takes a tenth of what a short command takes, and few have such a setting.
  const { execFile } = await import('node:child_process')
  return await new Promise((resolve, reject) => {
    const options = {
      encoding: 'buffer',
      timeout: COMMAND_TIMEOUT_MS,
      maxBuffer: PASSPHRASE_BYTES_MAX,
    } as const
    execFile('/bin/sh', ['-c', command], options, (error, stdout) => {
      if (error === null) return resolve(stdout)
      // Neither the command nor its output goes into the message: both may hold the secret.
      reject(new AkidbError('AUTH', 'passphraseCommand failed', { details: { exit: error.code } }))
    })
  })
}

const firstLine = (bytes: Buffer, source: string): string => {
  if (bytes.length > PASSPHRASE_BYTES_MAX) {
    throw new AkidbError(
      'LIMIT',
      `the passphrase from ${source} is over ${PASSPHRASE_BYTES_MAX} bytes`,
    )
  }
  const line = bytes.toString('utf8').split(/\r?\n/)[0] ?? ''
  if (line !== '') return line
  throw new AkidbError('AUTH', `the passphrase from ${source} is empty`)
}
