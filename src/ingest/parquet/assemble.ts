import type { JsonValue } from '../../core/json.ts'
import type { LeafColumn } from './leaf-column.ts'
import { type SchemaNode, shapeOf } from './schema-node.ts'

/** Reads one row's value of a top-level column. */
export type ValueReader = () => JsonValue

/**
 * A reader that puts the values of a column together from its leaves: lists become arrays,
 * structs objects, maps arrays of [key, value]. `leaf` gives the leaf columns by their ordinal.
 *
 * Source: Melnik et al., "Dremel: Interactive Analysis of Web-Scale Datasets", 2010, §4.3, one
 * field at a time.
 */
export function valueReader(node: SchemaNode, leaf: (ordinal: number) => LeafColumn): ValueReader {
  return node.isRepeated ? listReader(node, itemReader(node, leaf), leaf) : itemReader(node, leaf)
}

/** Reads one value of a node, its own repetition left aside. */
function itemReader(node: SchemaNode, leaf: (ordinal: number) => LeafColumn): ValueReader {
  const first = leaf(node.firstLeaf)
  const inner = innerReader(node, leaf)
  if (node.children.length === 0) return inner
  const leaves = leavesOf(node, leaf)
  return () => {
    if (first.definition >= node.definition) return inner()
    for (const column of leaves) column.take()
    return null
  }
}

function innerReader(node: SchemaNode, leaf: (ordinal: number) => LeafColumn): ValueReader {
  const shape = shapeOf(node)
  if (shape.kind === 'leaf') {
    const column = leaf(node.firstLeaf)
    return () => column.take()
  }
  if (shape.kind === 'list') {
    return listReader(shape.repeated, itemReader(shape.element, leaf), leaf)
  }
  if (shape.kind === 'map') {
    const parts = shape.repeated.children.map((child) => valueReader(child, leaf))
    return listReader(shape.repeated, () => parts.map((part) => part()), leaf)
  }
  const members = node.children.map((child) => [child.name, valueReader(child, leaf)] as const)
  return () => new Map(members.map(([name, read]) => [name, read()]))
}

function listReader(
  repeated: SchemaNode,
  readItem: ValueReader,
  leaf: (ordinal: number) => LeafColumn,
): ValueReader {
  const first = leaf(repeated.firstLeaf)
  const leaves = leavesOf(repeated, leaf)
  return () => {
    const items: JsonValue[] = []
    if (first.definition < repeated.definition) {
      for (const column of leaves) column.take()
      return items
    }
    do items.push(readItem())
    while (first.repetition === repeated.repetition)
    return items
  }
}

const leavesOf = (node: SchemaNode, leaf: (ordinal: number) => LeafColumn): LeafColumn[] =>
  Array.from({ length: node.leafCount }, (_, index) => leaf(node.firstLeaf + index))
