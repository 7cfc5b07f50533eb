import type { SchemaElement, SchemaTree } from './hyparquet.ts'

/** One node of a Parquet schema, with the levels that Dremel's encoding gives it. */
export interface SchemaNode {
  readonly name: string
  readonly element: SchemaElement
  readonly children: readonly SchemaNode[]
  /** Definition level of a value that is there. */
  readonly definition: number
  /** Repetition level of a value that continues the nearest list. */
  readonly repetition: number
  readonly isRepeated: boolean
  readonly isOptional: boolean
  /** Ordinal among the leaves of the file; of the first leaf below, for a group. */
  readonly firstLeaf: number
  readonly leafCount: number
}

/** The tree with levels; `leafStart` counts leaves in the order of the file. */
export function toSchemaNodes(root: SchemaTree): readonly SchemaNode[] {
  let leaves = 0
  const convert = (tree: SchemaTree, definition: number, repetition: number): SchemaNode => {
    const isRepeated = tree.element.repetition_type === 'REPEATED'
    const isOptional = tree.element.repetition_type === 'OPTIONAL'
    const own = {
      definition: definition + (isRepeated || isOptional ? 1 : 0),
      repetition: repetition + (isRepeated ? 1 : 0),
    }
    const firstLeaf = leaves
    const children = tree.children.map((child) => convert(child, own.definition, own.repetition))
    if (children.length === 0) leaves++
    return {
      name: tree.element.name,
      element: tree.element,
      children,
      ...own,
      isRepeated,
      isOptional,
      firstLeaf,
      leafCount: leaves - firstLeaf,
    }
  }
  return root.children.map((child) => convert(child, 0, 0))
}

/**
 * What kind of value a group is. Source: LogicalTypes.md of Apache Parquet, with its rules for
 * old writers.
 */
export type Shape =
  | { readonly kind: 'leaf' }
  | { readonly kind: 'list'; readonly repeated: SchemaNode; readonly element: SchemaNode }
  | { readonly kind: 'map'; readonly repeated: SchemaNode }
  | { readonly kind: 'struct' }

export function shapeOf(node: SchemaNode): Shape {
  if (node.children.length === 0) return { kind: 'leaf' }
  const { converted_type: converted, logical_type: logical } = node.element
  const only = node.children.length === 1 ? node.children[0] : undefined
  if (only?.isRepeated !== true) return { kind: 'struct' }
  if (converted === 'MAP' || converted === 'MAP_KEY_VALUE' || logical?.type === 'MAP') {
    return only.children.length === 2 ? { kind: 'map', repeated: only } : { kind: 'struct' }
  }
  if (converted !== 'LIST' && logical?.type !== 'LIST') return { kind: 'struct' }
  const inner = only.children.length === 1 ? only.children[0] : undefined
  const isElement =
    inner === undefined || only.name === 'array' || only.name === `${node.name}_tuple`
  return { kind: 'list', repeated: only, element: isElement ? only : inner }
}
