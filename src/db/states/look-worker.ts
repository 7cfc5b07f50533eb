import { parentPort } from 'node:worker_threads'
import { sha256 } from '../../core/digest.ts'
import { BlobLook, type LookedBlob } from '../../format/blob-look.ts'
import { HASH_BYTES } from '../../format/chunks.ts'
import type { BlobRef } from '../../format/manifest.ts'

/** What a LookThread asks of its worker, which answers each, in order. */
export type LookMessage =
  | { readonly kind: 'begin'; readonly blob: number; readonly ref: BlobRef; pieceBytes: number }
  | { readonly kind: 'look'; readonly blob: number; readonly piece: Uint8Array }
  | { readonly kind: 'end'; readonly blob: number }
  | { readonly kind: 'digests'; readonly bytes: Uint8Array; readonly chunkBytes: number }

export interface LookAnswer {
  readonly looked?: LookedBlob
  readonly digests?: Uint8Array
  /** A bug. */
  readonly error?: string
}

const looks = new Map<number, BlobLook>()

parentPort?.on('message', (message: LookMessage) => {
  parentPort?.postMessage(answerTo(message))
})

function answerTo(message: LookMessage): LookAnswer {
  try {
    return done(message)
  } catch (error) {
    return { error: String(error) }
  }
}

function done(message: LookMessage): LookAnswer {
  switch (message.kind) {
    case 'begin':
      looks.set(message.blob, new BlobLook(message.ref, message.pieceBytes))
      return {}
    case 'look':
      lookOf(message.blob).look(message.piece)
      return {}
    case 'end': {
      const looked = lookOf(message.blob).end()
      looks.delete(message.blob)
      return { looked }
    }
    case 'digests':
      return { digests: digestsOf(message.bytes, message.chunkBytes) }
  }
}

function lookOf(blob: number): BlobLook {
  const look = looks.get(blob)
  if (look === undefined) throw new Error(`nobody looks at blob ${blob}`)
  return look
}

function digestsOf(bytes: Uint8Array, chunkBytes: number): Uint8Array {
  const digests = new Uint8Array(HASH_BYTES * Math.ceil(bytes.length / chunkBytes))
  for (let at = 0, to = 0; at < bytes.length; at += chunkBytes, to += HASH_BYTES) {
    digests.set(sha256(bytes.subarray(at, at + chunkBytes)), to)
  }
  return digests
}
