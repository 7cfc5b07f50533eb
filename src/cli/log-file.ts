import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { AkidbError } from '../errors/errors.ts'
import { jsonLine } from './json-document.ts'

export type LogLevel = 'debug' | 'info' | 'warning' | 'error'

/** The log of `--log-file`: JSON lines, appended. The only log that akidb writes. */
export interface LogFile {
  write(level: LogLevel, message: string, details?: object): void
  close(): void
}

/** A log that goes nowhere. */
export const noLog: LogFile = { write: () => undefined, close: () => undefined }

/**
 * Opens (or makes, with mode 0640) a log file for appending. One write a line, so that several
 * processes can share it. AUTH or NOT_FOUND where it cannot be opened.
 */
export function openLogFile(path: string, now: () => number, pid: number): LogFile {
  const file = open(path)
  return {
    write(level, message, details = {}) {
      const time = new Date(now()).toISOString()
      try {
        writeSync(file, jsonLine({ time, level, pid, message, ...details }))
      } catch {
        // A full disk under the log must not stop the work that it tells about.
      }
    },
    close: () => closeSync(file),
  }
}

const open = (path: string): number => {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o640)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    throw new AkidbError(
      code === 'ENOENT' ? 'NOT_FOUND' : 'AUTH',
      `cannot append to the log file "${path}" (${code ?? 'unknown'})`,
      { hint: 'Choose another file with --log-file.', cause: error },
    )
  }
}
