// node:crypto's SHA-256 over a file, one thread, read in pieces of 1 MiB: sha256.mjs <file>.
// Start-up aside.

import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'

const piece = Buffer.allocUnsafe(2 ** 20)
const hash = createHash('sha256')
const file = openSync(process.argv[2], 'r')
const started = performance.now()
let bytes = 0
for (let read = readSync(file, piece); read > 0; read = readSync(file, piece)) {
  hash.update(piece.subarray(0, read))
  bytes += read
}
hash.digest()
const ms = performance.now() - started
closeSync(file)
console.log(JSON.stringify({ ms, bytes }))
