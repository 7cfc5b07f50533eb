import { parentPort } from 'node:worker_threads'
import { runningSha256 } from '../core/digest.ts'
import { attachIndex } from './open-index.ts'
import { searchRanked } from './ranked-search.ts'
import {
  describeError,
  receivedSearch,
  type TaskAnswer,
  type TaskMessage,
} from './task-messages.ts'
import type { VectorIndex } from './vector-index.ts'

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

function search({ attach, searches }: Extract<TaskMessage, { kind: 'search' }>): void {
  const waiting = new Map(attach.map((attachment) => [attachment.index, attachment]))
  const answers: TaskAnswer[] = []
  for (const sent of searches) {
    try {
      const fresh = waiting.get(sent.index)
      if (fresh !== undefined && !attached.has(sent.index)) {
        attached.set(sent.index, attachIndex(fresh.shared, fresh.context))
      }
      const index = attached.get(sent.index)
      if (index === undefined) throw new Error(`no segment ${sent.index} is attached`)
      answers.push({ task: sent.task, ranked: searchRanked(index, receivedSearch(sent)) })
    } catch (error) {
      answers.push({ task: sent.task, error: describeError(error) })
    }
  }
  parentPort?.postMessage(answers)
}

async function digest({ task, bytes }: Extract<TaskMessage, { kind: 'digest' }>): Promise<void> {
  const hash = runningSha256()
  for (let at = 0; at < bytes.length; at += DIGEST_PIECE_BYTES) {
    if (at > 0) await new Promise((turn) => setImmediate(turn))
    hash.update(bytes.subarray(at, at + DIGEST_PIECE_BYTES))
  }
  const answer: TaskAnswer = { task, digest: hash.hex(), bytes }
  const { buffer } = bytes
  parentPort?.postMessage([answer], buffer instanceof ArrayBuffer ? [buffer] : [])
}
