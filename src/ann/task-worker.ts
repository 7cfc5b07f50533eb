import { parentPort } from 'node:worker_threads'
import { sha256 } from '../core/digest.ts'
import { attachIndex } from './open-index.ts'
import { searchRanked } from './ranked-search.ts'
import {
  describeError,
  receivedSearch,
  type TaskAnswer,
  type TaskMessage,
} from './task-messages.ts'
import type { VectorIndex } from './vector-index.ts'

const DIGEST_BYTES = 32
/** Bytes hashed before searches that came meanwhile have their turn: a few milliseconds. */
const DIGEST_PIECE_BYTES = 4 * 1024 * 1024

/** Segments that this worker searches, by the pool's numbers. */
const attached = new Map<number, VectorIndex>()

parentPort?.on('message', (message: TaskMessage) => {
  if (message.kind === 'search') search(message)
  else if (message.kind === 'digest') void digest(message)
  else for (const index of message.indexes) attached.delete(index)
})
// Says that it runs.
parentPort?.postMessage([])

function search({ attach, searches, queries }: Extract<TaskMessage, { kind: 'search' }>): void {
  const waiting = new Map(attach.map((attachment) => [attachment.index, attachment]))
  const answers: TaskAnswer[] = []
  let from = 0
  for (const sent of searches) {
    const query = queries.subarray(from, from + sent.components)
    from += sent.components
    try {
      const fresh = waiting.get(sent.index)
      if (fresh !== undefined && !attached.has(sent.index)) {
        attached.set(sent.index, attachIndex(fresh.shared, fresh.context))
      }
      const index = attached.get(sent.index)
      if (index === undefined) throw new Error(`no segment ${sent.index} is attached`)
      answers.push({ task: sent.task, ranked: searchRanked(index, receivedSearch(sent, query)) })
    } catch (error) {
      answers.push({ task: sent.task, error: describeError(error) })
    }
  }
  parentPort?.postMessage(answers)
}

async function digest(message: Extract<TaskMessage, { kind: 'digest' }>): Promise<void> {
  const { task, bytes, chunkBytes } = message
  const digests = new Uint8Array(DIGEST_BYTES * Math.ceil(bytes.length / chunkBytes))
  let since = 0
  for (let at = 0, to = 0; at < bytes.length; at += chunkBytes, to += DIGEST_BYTES) {
    if (since >= DIGEST_PIECE_BYTES) {
      since = 0
      await new Promise((turn) => setImmediate(turn))
    }
    digests.set(sha256(bytes.subarray(at, at + chunkBytes)), to)
    since += chunkBytes
  }
  const answer: TaskAnswer = { task, digests, bytes }
  const { buffer } = bytes
  parentPort?.postMessage([answer], buffer instanceof ArrayBuffer ? [buffer] : [])
}
