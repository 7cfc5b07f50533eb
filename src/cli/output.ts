import { AkidbError } from '../errors/errors.ts'
import type { OutputStream } from './io.ts'

/** One of the two output ends, with back-pressure; a reader that went away closes it silently. */
export interface Output {
  readonly isTerminal: boolean
  /** Columns of the terminal; 80 where unknown. */
  readonly columns: number
  /** Whether the reader has gone (`| head`). Later writes do nothing. */
  readonly closed: boolean
  /** Resolves when the stream has taken the bytes. NO_SPACE where the disk behind it is full. */
  write(chunk: string | Uint8Array): Promise<void>
}

/**
 * @param onClosed called once when the reader has gone
 */
export function createOutput(stream: OutputStream, onClosed: () => void): Output {
  let closed = false
  const close = (): void => {
    if (closed) return
    closed = true
    onClosed()
  }
  // Without a listener the stream's own error event would end the process with a stack.
  stream.on('error', (error) => {
    if (isGone(error)) close()
  })
  return {
    isTerminal: stream.isTTY === true,
    get columns() {
      return stream.columns ?? 80
    },
    get closed() {
      return closed
    },
    write: (chunk) =>
      new Promise((resolve, reject) => {
        if (closed) return resolve()
        stream.write(chunk, (error) => {
          if (error === undefined || error === null) return resolve()
          if (!isGone(error)) return reject(writeError(error))
          close()
          resolve()
        })
      }),
  }
}

const codeOf = (error: Error): unknown => (error as NodeJS.ErrnoException).code

const isGone = (error: Error): boolean =>
  ['EPIPE', 'ERR_STREAM_DESTROYED', 'ECONNRESET'].includes(String(codeOf(error)))

const writeError = (error: Error): AkidbError =>
  codeOf(error) === 'ENOSPC' || codeOf(error) === 'EDQUOT'
    ? new AkidbError('NO_SPACE', 'cannot write the output: the disk is full', { cause: error })
    : new AkidbError('INTERNAL', `cannot write the output: ${error.message}`, { cause: error })
