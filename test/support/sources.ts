import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseAst } from 'vitest/node'

/** Root of the clone. */
export const ROOT = join(import.meta.dirname, '..', '..')

/** A node of an ESTree syntax tree, as far as the rules look at it. */
export interface AstNode {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [property: string]: unknown
}

/** One source file, read and parsed. */
export interface SourceFile {
  /** Relative to the root, '/'-separated. */
  readonly path: string
  readonly text: string
  readonly lines: readonly string[]
  readonly tree: AstNode
  /** Line, from 1, of a position in the text. */
  lineAt(position: number): number
}

/**
 * Reads and parses every file that a glob pattern (relative to the root) names, in bytewise
 * order.
 */
export function sourceFiles(pattern: string): readonly SourceFile[] {
  return globSync(pattern, { cwd: ROOT, exclude: (name) => name.includes('node_modules') })
    .map((path) => path.replaceAll('\\', '/'))
    .sort()
    .map(readSource)
}

const readSource = (path: string): SourceFile =>
  parseSource(path, readFileSync(join(ROOT, path), 'utf8'))

/** Parses the text of a source file. */
export function parseSource(path: string, text: string): SourceFile {
  const lang = path.endsWith('.tsx') ? 'tsx' : path.endsWith('.ts') ? 'ts' : 'js'
  const tree = parseAst(text, { lang }) as unknown as AstNode
  const starts = [0]
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return {
    path,
    text,
    lines: text.split('\n'),
    tree,
    lineAt: (position) => {
      let low = 0
      for (let high = starts.length; high - low > 1; ) {
        const middle = (low + high) >> 1
        if ((starts[middle] as number) <= position) low = middle
        else high = middle
      }
      return low + 1
    },
  }
}

/** Visits every node of a tree, parents first. */
export function walk(node: AstNode, visit: (node: AstNode, parent?: AstNode) => void): void {
  const stack: (readonly [AstNode, AstNode | undefined])[] = [[node, undefined]]
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const [current, parent] = next
    visit(current, parent)
    const children = Object.values(current).flat().filter(isNode)
    // The stack gives the last first: pushed backwards, nodes come in the order of the text.
    for (const child of children.toSorted((a, b) => b.start - a.start)) {
      stack.push([child, current])
    }
  }
}

const isNode = (value: unknown): value is AstNode =>
  typeof value === 'object' && value !== null && typeof (value as AstNode).type === 'string'

/** A module that a file imports, by whatever form. */
export interface ImportedModule {
  readonly specifier: string
  readonly line: number
}

/**
 * Static imports and re-exports (types too), dynamic imports, `require` and module URLs with a
 * literal name.
 */
export function importsOf(file: SourceFile): readonly ImportedModule[] {
  const found: ImportedModule[] = []
  walk(file.tree, (node) => {
    const literal = moduleLiteral(node)
    const specifier = literal?.value
    if (typeof specifier === 'string') found.push({ specifier, line: file.lineAt(node.start) })
  })
  return found
}

function moduleLiteral(node: AstNode): AstNode | undefined {
  if (/^(Import|ExportNamed|ExportAll)(Declaration|Expression)$/.test(node.type)) {
    return node.source as AstNode | undefined
  }
  if (node.type === 'TSImportType') return (node.argument ?? node.source) as AstNode | undefined
  const callee = node.callee as AstNode | undefined
  const first = (node.arguments as AstNode[] | undefined)?.[0]
  if (node.type === 'CallExpression' && callee?.name === 'require') return first
  if (node.type === 'NewExpression' && callee?.name === 'URL') return first
  return undefined
}
