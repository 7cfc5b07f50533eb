import { opendir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { limits } from '../core/limits.ts'
import { compareIds } from '../core/record-id.ts'
import { AkidbError } from '../errors/errors.ts'
import { matchGlob } from './glob.ts'

const INPUT_NAME = /\.(csv|tsv|jsonl|ndjson|parquet|pq)(\.(gz|zst))?$/i
const FOLDER_DEPTH_MAX = 64

/**
 * The files that some arguments name, in bytewise order of their paths and each once: a file is
 * itself, a folder all files below it with a name of a known format, a glob (`*`, `**`, `?`) what
 * matches. "-" stays as it is.
 *
 * Throws NOT_FOUND where an argument names nothing, LIMIT above limits.inputFilesMax.
 */
export async function expandInputs(patterns: readonly string[]): Promise<string[]> {
  const found = new Set<string>()
  for (const pattern of patterns) {
    const before = found.size
    for (const path of await expandOne(pattern)) {
      found.add(path)
      if (found.size > limits.inputFilesMax) throw tooMany()
    }
    if (found.size === before && (await expandOne(pattern)).length === 0) {
      throw new AkidbError('NOT_FOUND', `No input file matches ${JSON.stringify(pattern)}.`, {
        hint: 'In folders .csv, .tsv, .jsonl, .ndjson, .parquet are found, also with .gz and .zst.',
      })
    }
  }
  return [...found].sort(compareIds)
}

async function expandOne(pattern: string): Promise<string[]> {
  if (pattern === '-') return [pattern]
  const kind = await stat(pattern).catch(() => undefined)
  if (kind !== undefined && !kind.isDirectory()) return [pattern]
  const files: string[] = []
  if (kind !== undefined) {
    await walk(pattern, 0, (path) => {
      if (INPUT_NAME.test(path)) files.push(path)
    })
    return files
  }
  const wildAt = pattern.search(/[*?]/)
  if (wildAt < 0) return []
  const root = pattern.slice(0, pattern.lastIndexOf('/', wildAt) + 1)
  const depthMax = pattern.includes('**') ? FOLDER_DEPTH_MAX : pattern.split('/').length
  const isFolder = (await stat(root === '' ? '.' : root).catch(() => undefined))?.isDirectory()
  if (isFolder !== true) return []
  const wanted = join(pattern)
  await walk(root === '' ? '.' : root, FOLDER_DEPTH_MAX - depthMax, (path) => {
    if (matchGlob(wanted, path)) files.push(path)
  })
  return files
}

async function walk(folder: string, depth: number, visit: (path: string) => void): Promise<void> {
  if (depth > FOLDER_DEPTH_MAX) return
  const entries: { path: string; isFolder: boolean }[] = []
  for await (const entry of await opendir(folder)) {
    const path = join(folder, entry.name)
    // A link is followed to a file, never to a folder, so a circle ends.
    const isFile =
      entry.isFile() ||
      (entry.isSymbolicLink() && (await stat(path).catch(() => undefined))?.isFile() === true)
    if (isFile || entry.isDirectory()) entries.push({ path, isFolder: entry.isDirectory() })
    if (entries.length > limits.inputFilesMax) throw tooMany()
  }
  for (const { path, isFolder } of entries) {
    if (isFolder) await walk(path, depth + 1, visit)
    else visit(path)
  }
}

const tooMany = (): AkidbError =>
  new AkidbError('LIMIT', `More than ${limits.inputFilesMax} input files.`, {
    details: { limit: 'inputFilesMax', max: limits.inputFilesMax },
  })
