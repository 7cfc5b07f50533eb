import type { IncomingMessage } from 'node:http'
import { finished } from 'node:stream/promises'
import type { PieceSink } from '../object-store.ts'
import { headersOf } from './s3-answers.ts'
import { cut, notS3 } from './s3-errors.ts'
import { giveBack } from './s3-memory.ts'
import {
  callOf,
  checkRange,
  headOf,
  notFoundError,
  ofVersion,
  type Readable,
  rangeError,
} from './s3-read.ts'

/** A try that brought so much was worth it: the time for the next ones begins anew. */
const MOVED_BYTES_MIN = 64 * 1024

/**
 * Sends all bytes of an object to `sink`, in order, as they come: one request, where nothing fails.
 * After a cut the next asks for what is missing. It holds a slot for downloads all the time, so
 * `sink` must not wait for another one.
 *
 * Source: RFC 9110, section 14 (ranges).
 *
 * @param bytes length of the object
 * @throws INTEGRITY where it is of another length; what `sink` throws
 */
export async function streamTo(at: Readable, bytes: number, sink: PieceSink): Promise<void> {
  if (bytes === 0) return await checkEmpty(at)
  let received = 0
  let tried = 0
  await at.bucket.downloads.run(() =>
    at.bucket.call({
      ...callOf(at),
      method: 'GET',
      headers: {
        // Of each try.
        get range() {
          return `bytes=${received}-${bytes - 1}`
        },
      },
      read: async (response) => {
        ofVersion(at, headersOf(response))
        checkRange(at, response, { offset: received, bytes: bytes - received }, bytes)
        await drain(response, (piece) => {
          received += piece.length
          if (received > bytes) throw notS3(`more than ${bytes} bytes came`)
          return sink(piece)
        })
        if (received < bytes) throw cut(`${received} of ${bytes} bytes came`)
      },
      expected: (failure) =>
        failure.status === 416 ? Promise.reject(rangeError(at, bytes)) : undefined,
      hasMoved: () => {
        const moved = received - tried
        tried = received
        return moved >= MOVED_BYTES_MIN
      },
    }),
  )
}

/** A range without bytes cannot be asked for: only whether there are any. */
async function checkEmpty(at: Readable): Promise<void> {
  const head = await headOf(at)
  if (head === undefined) throw notFoundError(at)
  if (head.bytes > 0) throw rangeError(at, 0, head.bytes)
}

/** A body, piece by piece; none comes while `sink` has one. Its failure goes before the body's. */
async function drain(response: IncomingMessage, sink: PieceSink): Promise<void> {
  let taking: Promise<void> | undefined
  const take = async (piece: Buffer, taken: Promise<void>): Promise<void> => {
    await taken
    giveBack(piece)
    response.resume()
  }
  response.on('data', (piece: Buffer) => {
    try {
      const taken = sink(piece)
      if (taken === undefined) return giveBack(piece)
      response.pause()
      taking = take(piece, taken)
      taking.catch((error: Error) => response.destroy(error))
    } catch (error) {
      response.destroy(error as Error)
    }
  })
  try {
    await finished(response)
  } finally {
    await taking
  }
}
