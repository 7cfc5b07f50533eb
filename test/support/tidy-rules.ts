import { readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { type AstNode, importsOf, ROOT, type SourceFile, walk } from './sources.ts'

/** Lines of a file. */
export const FILE_LINES_MAX = 400
/** Lines of a function. */
export const FUNCTION_LINES_MAX = 70
/** Characters of a line. */
export const LINE_CHARS_MAX = 100

/**
 * Which layers a layer may import; what those may import, it may too. Everybody may import core
 * and errors.
 */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  cli: ['server'],
  server: ['transfer', 'db'],
  transfer: ['bundle', 'db'],
  bundle: ['trust', 'audit', 'format', 'storage'],
  db: ['search', 'audit', 'ingest', 'format', 'storage'],
  search: ['ann', 'format'],
  audit: ['trust', 'storage'],
  trust: ['core'],
  ingest: ['core'],
  ann: ['core'],
  storage: ['core'],
  format: ['core'],
  core: ['errors'],
  errors: [],
}

/** Layers that get bytes, clock and randomness passed in. */
export const PURE_LAYERS = new Set(['core', 'format', 'ann', 'search'])
const PURE_MODULES = new Set(['crypto', 'zlib', 'worker_threads', 'url', 'util', 'buffer'])
const PROCESS_PARTS = new Set(['exit', 'exitCode', 'stdout', 'stderr', 'stdin', 'argv', 'env'])
const VAGUE_NAMES = new Set(['util', 'utils', 'helper', 'helpers', 'misc', 'common', 'shared'])

const at = (file: SourceFile, line: number, what: string): string => `${file.path}:${line}: ${what}`

/** Layer of a file of src. */
export const layerOf = (path: string): string => path.split('/')[1] ?? ''

/** Imports against the arrows, or of what lies outside src/. */
export function upwardImports(file: SourceFile): string[] {
  const layer = layerOf(file.path)
  if (file.path === 'src/index.ts') return []
  if (!(layer in ARROWS)) return [`${file.path}: "${layer}" is no layer`]
  const allowed = below(layer)
  return importsOf(file).flatMap(({ specifier, line }) => {
    if (!specifier.startsWith('.')) return []
    const target = posix.join(posix.dirname(file.path), specifier)
    if (target === 'src/index.ts') {
      return layer === 'cli' || layer === 'server' ? [] : [at(file, line, 'imports src/index.ts')]
    }
    // The version is read from there; it lies in the same place beside dist/.
    if (target === 'package.json') return []
    if (!target.startsWith('src/')) return [at(file, line, `leaves src/: ${specifier}`)]
    const to = layerOf(target)
    return allowed.has(to) ? [] : [at(file, line, `${layer} may not import ${to} (${specifier})`)]
  })
}

/** A layer, and all that it may import. */
function below(layer: string): ReadonlySet<string> {
  const found = new Set([layer, 'core', 'errors'])
  // A set that grows while it is walked visits what was added.
  for (const each of found) for (const next of ARROWS[each] ?? []) found.add(next)
  return found
}

/**
 * Circles of imports within these files, of types and at run time alike: for each file that is in
 * one, the shortest. Each begins with the bytewise least of its files.
 */
export function importCircles(files: readonly SourceFile[]): string[] {
  const paths = new Set(files.map((file) => file.path))
  const imports = new Map<string, readonly string[]>()
  for (const file of files) {
    imports.set(
      file.path,
      [...new Set(targetsOf(file))].filter((target) => paths.has(target)),
    )
  }
  return circlesOf(imports)
}

/**
 * Circles of imports between the rooms of a layer: its folders. Files beside them stand above all:
 * an import of one of those by a room is a circle too.
 */
export function roomCircles(files: readonly SourceFile[], layer: string): string[] {
  const roomOf = (path: string): string | undefined => {
    if (!path.startsWith(`src/${layer}/`)) return undefined
    const [room = '', ...rest] = path.slice(`src/${layer}/`.length).split('/')
    return rest.length === 0 ? '.' : room
  }
  const imports = new Map<string, string[]>()
  for (const file of files) {
    const room = roomOf(file.path)
    if (room === undefined) continue
    const known = imports.get(room) ?? []
    imports.set(room, known)
    for (const target of targetsOf(file).map(roomOf)) {
      if (target !== undefined && target !== room) known.push(target)
    }
  }
  return circlesOf(imports)
}

const targetsOf = (file: SourceFile): string[] =>
  importsOf(file)
    .filter(({ specifier }) => specifier.startsWith('.'))
    .map(({ specifier }) => posix.join(posix.dirname(file.path), specifier))

function circlesOf(imports: ReadonlyMap<string, readonly string[]>): string[] {
  const circles = [...imports.keys()].flatMap((path) => {
    const circle = shortestCircle(imports, path)
    return circle === undefined ? [] : [fromLeast(circle)]
  })
  const texts = circles.map(([first = '', ...rest]) => [first, ...rest, first].join(' -> '))
  return [...new Set(texts)].sort()
}

/** Files of the shortest way from a file back to it, by breadth first search. */
function shortestCircle(
  imports: ReadonlyMap<string, readonly string[]>,
  start: string,
): readonly string[] | undefined {
  const ways = new Map<string, readonly string[]>([[start, [start]]])
  // A map that grows while it is walked visits what was added, in the order of its addition.
  for (const [path, way] of ways) {
    for (const target of imports.get(path) ?? []) {
      if (target === start) return way
      if (!ways.has(target)) ways.set(target, [...way, target])
    }
  }
  return undefined
}

function fromLeast(circle: readonly string[]): readonly string[] {
  const at = circle.indexOf(circle.toSorted()[0] ?? '')
  return [...circle.slice(at), ...circle.slice(0, at)]
}

/** I/O, clocks and randomness in a layer that gets them passed in. */
export function impurities(file: SourceFile): string[] {
  const found = importsOf(file).flatMap(({ specifier, line }) =>
    specifier.startsWith('node:') && !PURE_MODULES.has(specifier.slice(5))
      ? [at(file, line, `imports ${specifier}`)]
      : [],
  )
  walk(file.tree, (node) => {
    const member = memberName(node)
    if (member !== undefined && /^(Date\.now|Math\.random|performance\.now)$/.test(member)) {
      found.push(at(file, file.lineAt(node.start), `uses ${member}`))
    }
    const callee = node.callee as AstNode | undefined
    const none = (node.arguments as unknown[] | undefined)?.length === 0
    if (node.type === 'NewExpression' && callee?.name === 'Date' && none) {
      found.push(at(file, file.lineAt(node.start), 'asks the clock: new Date()'))
    }
  })
  return found
}

/** Uses of the console and of the process parts that belong to src/cli. */
export function processUses(file: SourceFile): string[] {
  const found: string[] = []
  walk(file.tree, (node, parent) => {
    const source = (parent?.source as AstNode | undefined)?.value
    if (source === 'node:process' && /^Import(Default)?Specifier$/.test(node.type)) {
      const name = String((node.imported as AstNode | undefined)?.name ?? 'default')
      if (name === 'default' || PROCESS_PARTS.has(name)) {
        found.push(at(file, file.lineAt(node.start), `imports ${name} of node:process`))
      }
    }
    const [object, property] = memberName(node)?.split('.') ?? []
    const banned =
      object === 'console' || (object === 'process' && PROCESS_PARTS.has(property ?? ''))
    if (banned) found.push(at(file, file.lineAt(node.start), `uses ${object}.${property}`))
  })
  return found
}

/** 'a.b' for a member of a plain identifier. */
function memberName(node: AstNode): string | undefined {
  if (node.type !== 'MemberExpression') return undefined
  const object = node.object as AstNode
  const property = node.property as AstNode
  if (object.type !== 'Identifier') return undefined
  return `${String(object.name)}.${String(property.name ?? property.value)}`
}

/** Packages that are imported in two files, in none, or without being declared as dependencies. */
export function packageUses(files: readonly SourceFile[]): string[] {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
    optionalDependencies: Record<string, string>
  }
  const declared = [
    ...Object.keys(manifest.dependencies),
    // Runtimes are run, not imported.
    ...Object.keys(manifest.optionalDependencies).filter((name) => !/(^|-)node-linux-/.test(name)),
  ]
  const users = new Map<string, Set<string>>(declared.map((name) => [name, new Set()]))
  const found: string[] = []
  for (const file of files) {
    for (const { specifier, line } of importsOf(file)) {
      if (!/^[@a-z]/.test(specifier) || specifier.startsWith('node:')) continue
      if (/^[a-z]+:/.test(specifier)) continue
      const name = specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/')
      const of = users.get(name)
      if (of === undefined) found.push(at(file, line, `"${name}" is no dependency`))
      else of.add(file.path)
    }
  }
  for (const [name, of] of users) {
    if (of.size === 0) found.push(`${name}: a dependency that no file of src imports`)
    if (of.size > 1) found.push(`${name}: imported in ${[...of].join(', ')}`)
  }
  return found
}

/** Files that no import, worker URL or entry point names. */
export function deadFiles(files: readonly SourceFile[]): string[] {
  const entries = new Set(['src/index.ts', 'src/cli/main.ts'])
  const named = new Set(entries)
  for (const file of files) {
    walk(file.tree, (node) => {
      const text = node.type === 'TemplateElement' ? templateText(node) : node.value
      if (typeof text !== 'string' || !text.startsWith('.')) return
      const target = posix.join(posix.dirname(file.path), text)
      named.add(target)
      named.add(target.replace(/\.js$/, '.ts'))
      // A worker's URL takes its ending from the file that starts it.
      named.add(`${target.replace(/\.$/, '')}.ts`)
    })
  }
  return files.filter((file) => !named.has(file.path)).map((file) => `${file.path}: unused`)
}

const templateText = (node: AstNode): string | undefined =>
  (node.value as { cooked?: string } | undefined)?.cooked

/** Functions over the limit. */
export function longFunctions(file: SourceFile): string[] {
  const found: string[] = []
  walk(file.tree, (node, parent) => {
    if (!/^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type))
      return
    const first = file.lineAt(node.start)
    const lines = file.lineAt(node.end) - first + 1
    if (lines <= FUNCTION_LINES_MAX) return
    const name = nameOf(node) ?? (parent === undefined ? undefined : nameOf(parent)) ?? 'a function'
    found.push(at(file, first, `${name} takes ${lines} lines`))
  })
  return found
}

function nameOf(node: AstNode): string | undefined {
  const named = (node.id ?? node.key) as AstNode | null | undefined
  return named === null || named === undefined ? undefined : String(named.name ?? named.value)
}

/** Lines over the limit. */
export function longLines(file: SourceFile): string[] {
  return file.lines.flatMap((line, i) =>
    line.length > LINE_CHARS_MAX ? [at(file, i + 1, `${line.length} characters`)] : [],
  )
}

/** File names that are not in kebab case or say nothing. */
export function badName(file: SourceFile): string[] {
  const parts = file.path.split('/')
  const name = (parts.at(-1) ?? '').replace(/(\.test|\.d)?\.(ts|tsx|mjs)$/, '')
  const kebab = [...parts.slice(0, -1), name].every((part) => /^[a-z0-9]+(-[a-z0-9]+)*$/.test(part))
  const found = kebab ? [] : [`${file.path}: not in kebab case`]
  if (VAGUE_NAMES.has(name)) found.push(`${file.path}: "${name}" says nothing`)
  return found
}

/** Words that stand over something unfinished. */
export function leftoverWords(file: SourceFile): string[] {
  // Put together from halves, so that this file does not find itself.
  const words = ['TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X', 'HA' + 'CK'].join('|')
  const phrases = ['not imple' + 'mented', 'for ' + 'now', 'place' + 'holder', 'st' + 'ub'].join(
    '|',
  )
  return [
    ...linesWith(file, new RegExp(`\\b(${words})\\b`), 'a leftover'),
    ...linesWith(file, new RegExp(`\\b(?<!')(${phrases})(bed)?\\b`, 'i'), 'unfinished work'),
  ]
}

/** Lines that match a pattern. */
export function linesWith(file: SourceFile, pattern: RegExp, what: string): string[] {
  return file.lines.flatMap((line, i) => {
    const match = pattern.exec(line)
    return match === null ? [] : [at(file, i + 1, `${what}: ${match[0].trim()}`)]
  })
}

/** Tests singled out, or switched off without a reason beside them. */
export function switchedOff(file: SourceFile): string[] {
  const found: string[] = []
  walk(file.tree, (node) => {
    const match = /^(?:it|test|describe|suite)\.(only|skip|todo|skipIf|runIf)$/.exec(
      memberName(node) ?? '',
    )
    if (match === null) return
    const line = file.lineAt(node.start)
    const around = [file.lines[line - 1], file.lines[line - 2]].join('\n')
    // A condition is its own reason; a plain skip needs a comment.
    const explained = match[1] === 'skipIf' || match[1] === 'runIf' || /\/\/ \w/.test(around)
    if (match[1] === 'only' || !explained) found.push(at(file, line, `${match[0]}`))
  })
  return found
}
