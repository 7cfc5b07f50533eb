import { homedir, hostname, userInfo } from 'node:os'
import { lowerPriority } from '../storage/priority.ts'

/** A writable end: process.stdout, process.stderr, or a test's double. */
export interface OutputStream {
  readonly isTTY?: boolean
  readonly columns?: number
  write(chunk: string | Uint8Array, done: (error?: Error | null) => void): boolean
  on(event: 'error', listener: (error: Error) => void): unknown
}

/** A readable end: process.stdin, or a test's double. */
export interface InputStream extends AsyncIterable<Uint8Array | string> {
  readonly isTTY?: boolean
  pause?(): unknown
  /** Ends a read that waits. */
  destroy?(): unknown
  unref?(): unknown
  /** 'pause': nobody reads it any more. */
  once?(event: 'pause', listener: () => void): unknown
  off?(event: 'pause', listener: () => void): unknown
}

export type SignalName = 'SIGINT' | 'SIGTERM' | 'SIGUSR2'

/** Everything outside that the command line touches, so that tests can run it in-process. */
export interface Io {
  readonly stdin: InputStream
  readonly stdout: OutputStream
  readonly stderr: OutputStream
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly home: string
  readonly host: string
  readonly user: string
  /** Absent where the system has no user ids. */
  readonly uid: number | undefined
  readonly pid: number
  /** The system's configuration file. */
  readonly systemConfig: string
  /** Milliseconds since 1970. */
  now(): number
  /** Calls `listener` at each such signal; returns a function that stops it. */
  onSignal(name: SignalName, listener: () => void): () => void
  /** Lets other processes go first from now on. */
  lowerPriority(): void
  /** Ends the process at once: for the second interrupt only. */
  exitNow(code: number): void
}

/** The real process. */
export const processIo = (): Io => ({
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  cwd: process.cwd(),
  home: homedir(),
  host: hostname(),
  user: userName(),
  uid: process.getuid?.(),
  pid: process.pid,
  systemConfig: '/etc/akidb/config.json',
  now: () => Date.now(),
  onSignal(name, listener) {
    process.on(name, listener)
    return () => process.off(name, listener)
  },
  lowerPriority,
  exitNow: (code) => process.exit(code),
})

/** A user id without a name (usual in containers) is shown as the number. */
const userName = (): string => {
  try {
    return userInfo().username
  } catch {
    return String(process.getuid?.() ?? 'unknown')
  }
}
