// Makes fixtures/envelope-v1: an encrypted bundle's envelope with fixed keys around a short text,
// and what a reader needs to open it. The same sources give the same bytes. Once a version is
// released, it is never made again: it must open for ever.
//
//   node_modules/.bin/node scripts/make-golden-envelope.mjs [folder]

import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { createEnvelopeWriter } from '../src/bundle/bundle-envelope.ts'
import { newEnvelope } from '../src/storage/envelope/kes-envelope.ts'

const folder = process.argv[2] ?? join(import.meta.dirname, '..', 'fixtures', 'envelope-v1')
const out = resolve(folder)
const text = 'What is carried in an envelope is read by nobody on its way, and altered by nobody.\n'

let drawn = 0
/** 1, 2, 3 …: as random as a fixture may be. */
const random = (bytes) => Uint8Array.from({ length: bytes }, () => ++drawn % 256)
const dataKey = Uint8Array.from({ length: 32 }, (_, i) => 200 - i)
const sealed = Buffer.from('what KES gave for the data key')
let context
const server = {
  url: 'https://golden:7373',
  generateDataKey: async (_, bound) => {
    context = Buffer.from(bound).toString('hex')
    return { plaintext: Uint8Array.from(dataKey), ciphertext: sealed }
  },
}

const request = { keyId: 'site-a', kind: 'bundle', subject: new Uint8Array(32), chunkBytes: 32 }
const envelope = await newEnvelope(server, { ...request, random })
const pieces = []
const writer = createEnvelopeWriter(envelope, async (bytes) => void pieces.push(bytes))
await writer.write(Buffer.from(text))
const bytes = await writer.finish()
const expected = {
  ...{ keyId: 'site-a', context, sealed: sealed.toString('hex') },
  ...{ dataKey: Buffer.from(dataKey).toString('hex'), bytes, text },
}
mkdirSync(out, { recursive: true })
writeFileSync(join(out, 'bundle.envelope'), Buffer.concat(pieces))
writeFileSync(join(out, 'expected.json'), `${JSON.stringify(expected, undefined, 1)}\n`)
writeFileSync(join(out, '.gitattributes'), '* -text\n')
