// What a batch by the command line cannot undercut, but for the searches: node batch-floor.mjs
// <store> reads the blobs that a search by vector needs, from the page cache into fresh shared
// memory, and hashes them in chunks of 64 KiB, on this thread and one more. Its time is the
// process's.

import { hash } from 'node:crypto'
import { closeSync, globSync, openSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { isMainThread, Worker, workerData } from 'node:worker_threads'

const PIECE = 4 * 2 ** 20
const CHUNK = 64 * 1024

/** Vectors and codes are the two longest blobs; the links, a hundredth of them, are left out. */
function piecesOf(store) {
  const files = globSync('blobs/*/*/*', { cwd: store }).map((name) => join(store, name))
  const sizes = files.map((file) => ({ file, bytes: statSync(file).size }))
  const [vectors, codes] = sizes.toSorted((a, b) => b.bytes - a.bytes)
  const pieces = []
  for (const { file, bytes } of [vectors, codes]) {
    for (let at = 0; at < bytes; at += PIECE) {
      pieces.push({ file, at, bytes: Math.min(PIECE, bytes - at) })
    }
  }
  return pieces
}

function work({ pieces, memory, next }) {
  const bytes = new Uint8Array(memory)
  for (let i = Atomics.add(next, 0, 1); i < pieces.length; i = Atomics.add(next, 0, 1)) {
    const { file, at, bytes: length } = pieces[i]
    const piece = bytes.subarray(i * PIECE, i * PIECE + length)
    const handle = openSync(file)
    for (let from = 0; from < length; from += CHUNK) {
      const chunk = piece.subarray(from, from + CHUNK)
      readSync(handle, chunk, 0, chunk.length, at + from)
      hash('sha256', chunk, 'buffer')
    }
    closeSync(handle)
  }
}

if (isMainThread) {
  const pieces = piecesOf(process.argv[2])
  const memory = new SharedArrayBuffer(pieces.length * PIECE)
  const next = new Int32Array(new SharedArrayBuffer(4))
  const share = { pieces, memory, next }
  const other = new Worker(import.meta.filename, { workerData: share })
  work(share)
  other.on('exit', () => {
    console.log(JSON.stringify({ bytes: pieces.reduce((sum, { bytes }) => sum + bytes, 0) }))
  })
} else work(workerData)
