// A set on disk, in a form that any language reads: bench/.data/sets/<name>/
//
//   meta.json       name, rows, dimension, metric, k, parquet, ids?, fields, filters
//   base.f32        rows × dimension float32, little endian, row major
//   queries.f32     queries × dimension float32
//   truth.i32       queries × k row numbers, the exact nearest, best first
//   field-<name>    .i32 (rows int32) or .json (rows strings)
//   filter-<n>.u8   rows bytes, 1 where the row matches
//   filter-<n>.i32  filter queries × k row numbers, best first, −1 where fewer match

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { data } from '../measure.mjs'

/** Raised when a set is made otherwise than before, so that old files are not used. */
const VERSION = 1

/** The folder of a set, made by `make(folder)` (which resolves to its meta) if it is absent. */
export async function setFolder(name, make) {
  const folder = join(data, 'sets', name)
  const meta = join(folder, 'meta.json')
  if (existsSync(meta) && JSON.parse(readFileSync(meta, 'utf8')).version === VERSION) return folder
  const next = `${folder}.tmp`
  rmSync(next, { recursive: true, force: true })
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(next, { recursive: true })
  const made = await make(next)
  writeFileSync(join(next, 'meta.json'), JSON.stringify({ ...made, name, version: VERSION }))
  renameSync(next, folder)
  return folder
}

export const bytesOf = (array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength)

/** Reads a set; large parts only when they are asked for. */
export function openSet(folder) {
  const meta = JSON.parse(readFileSync(join(folder, 'meta.json'), 'utf8'))
  const { dimension, k } = meta
  const queries = rowsOf(typed(folder, 'queries.f32', Float32Array), dimension)
  return {
    ...meta,
    folder,
    queries,
    base: () => typed(folder, 'base.f32', Float32Array),
    truth: () => rowsOf(typed(folder, 'truth.i32', Int32Array), k),
    field: (name) => readField(folder, name),
    mask: (index) => readFileSync(join(folder, `filter-${index}.u8`)),
    filterTruth: (index) => rowsOf(typed(folder, `filter-${index}.i32`, Int32Array), k),
  }
}

/** A file of 32-bit numbers. Read in pieces by Node where it is over 2 GiB: not needed here. */
function typed(folder, file, Kind) {
  const bytes = readFileSync(join(folder, file))
  const { buffer, byteOffset, byteLength } = bytes
  const aligned = byteOffset % 4 === 0 ? buffer : buffer.slice(byteOffset, byteOffset + byteLength)
  return new Kind(aligned, aligned === buffer ? byteOffset : 0, byteLength / 4)
}

function readField(folder, name) {
  const strings = join(folder, `field-${name}.json`)
  if (existsSync(strings)) return JSON.parse(readFileSync(strings, 'utf8'))
  return typed(folder, `field-${name}.i32`, Int32Array)
}

const rowsOf = (array, width) =>
  Array.from({ length: array.length / width }, (_, row) =>
    array.subarray(row * width, (row + 1) * width),
  )

/** Mean share of the exact k (those ≥ 0) that the answers hold. */
export function recallOf(truth, answers) {
  let found = 0
  let wanted = 0
  for (const [query, got] of answers.entries()) {
    const exact = Array.from(truth[query]).filter((row) => row >= 0)
    const rows = new Set(Array.from(got, Number))
    found += exact.filter((row) => rows.has(row)).length
    wanted += exact.length
  }
  return found / wanted
}
