import { createHash } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { buildHnswlibIndex, openVerifiedHnswlibFile } from '../../ann/hnswlib.ts'
import type { SegmentEntry } from '../../format/manifest.ts'
import { makeFolders } from '../../storage/make-folders.ts'
import type { ForeignIndexLoader } from './segment-index.ts'
import type { VectorRows } from './vector-rows.ts'

/**
 * Graphs of the optional hnswlib provider, kept in the state folder's cache and nowhere else: a
 * manifest, a bundle or a receipt never names one. A file is loaded only where its digest is the
 * one noted when it was written, because a damaged one would end the process.
 */
export const foreignIndexes =
  (stateFolder: string): ForeignIndexLoader =>
  async (entry, spec, parameters, vectors) => {
    const { m, efConstruction } = parameters
    const path = cachePath(stateFolder, entry, { m, efConstruction })
    const input = {
      rows: entry.rows,
      dimension: spec.dimension,
      metric: spec.metric,
      pieces: [await wholeOf(vectors, entry.rows * spec.dimension)],
    }
    if (await isIntact(path)) return await openVerifiedHnswlibFile(path, input)
    const built = await buildHnswlibIndex(input, parameters)
    await makeFolders(dirname(path))
    built.save(`${path}.new`)
    await writeFile(`${path}.sha256`, await digestOf(`${path}.new`))
    await rename(`${path}.new`, path)
    return built
  }

/** hnswlib holds rows of its own in any case. */
async function wholeOf(vectors: VectorRows, components: number): Promise<Float32Array> {
  const whole = new Float32Array(components)
  let at = 0
  for await (const piece of vectors.pieces()) {
    whole.set(piece, at)
    at += piece.length
  }
  return whole
}

function cachePath(
  stateFolder: string,
  entry: SegmentEntry,
  { m, efConstruction }: { m: number; efConstruction: number },
): string {
  const vectors = entry.blobs.find((blob) => blob.role === 'vectors') ?? entry.blobs[0]
  return join(stateFolder, 'cache', 'hnswlib', `${vectors?.digest}-${m}-${efConstruction}`)
}

async function isIntact(path: string): Promise<boolean> {
  try {
    return (await readFile(`${path}.sha256`, 'utf8')) === (await digestOf(path))
  } catch {
    return false
  }
}

const digestOf = async (path: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
