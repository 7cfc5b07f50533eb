import { describe, expect, it } from 'vitest'
import { parseSource, type SourceFile, sourceFiles } from './support/sources.ts'
import * as rules from './support/tidy-rules.ts'

const sources = sourceFiles('src/**/*.{ts,tsx}').filter((file) => !/\/assembly\//.test(file.path))
const tests = sourceFiles('test/**/*.ts')
const scripts = sourceFiles('{scripts,bench}/**/*.{mjs,ts}')
const everything = [...sources, ...tests, ...scripts]

/** Fails with one readable list of all violations. */
function expectNone(violations: readonly string[]): void {
  if (violations.length > 0)
    expect.fail(`${violations.length} violations\n${violations.join('\n')}`)
}

describe('layers', () => {
  it('import only downwards', () => {
    expectNone(sources.flatMap(rules.upwardImports))
  })

  it('import in no circle, not even for types', () => {
    expectNone(rules.importCircles(sources))
  })

  it('have rooms that import in no circle', () => {
    for (const layer of ['db', 'ann']) expectNone(rules.roomCircles(sources, layer))
  })

  it('of bytes and numbers do no I/O and ask no clock', () => {
    expectNone(
      sources
        .filter((file) => rules.PURE_LAYERS.has(rules.layerOf(file.path)))
        .flatMap(rules.impurities),
    )
  })

  it('leave the terminal and the process to src/cli', () => {
    expectNone(
      sources.filter((file) => rules.layerOf(file.path) !== 'cli').flatMap(rules.processUses),
    )
  })

  it('use each third-party package in one file, and only declared ones', () => {
    expectNone(rules.packageUses(sources))
  })

  it("make folders by makeFolders alone: Node's own recursion asks for ever in /proc", () => {
    const own = /\bmkdir(Sync)?\(.*\brecursive\b/
    expectNone(sources.flatMap((file) => rules.linesWith(file, own, 'a recursive mkdir')))
  })

  it('hold no file that nobody uses', () => {
    expectNone(rules.deadFiles(sources))
  })
})

describe('sizes', () => {
  it(`of files are at most ${rules.FILE_LINES_MAX} lines`, () => {
    const long = everything.filter((file) => file.lines.length - 1 > rules.FILE_LINES_MAX)
    expectNone(long.map((file) => `${file.path}: ${file.lines.length - 1} lines`))
  })

  it(`of functions are at most ${rules.FUNCTION_LINES_MAX} lines`, () => {
    expectNone([...sources, ...scripts].flatMap(rules.longFunctions))
  })

  it(`of lines are at most ${rules.LINE_CHARS_MAX} characters`, () => {
    expectNone(everything.flatMap(rules.longLines))
  })
})

describe('names and words', () => {
  it('of files are in kebab case and say what is in them', () => {
    expectNone(everything.flatMap(rules.badName))
  })

  it('leave nothing unfinished behind', () => {
    expectNone(everything.flatMap(rules.leftoverWords))
  })

  it('name no path of one machine', () => {
    const machine = /(^|[^A-Za-z0-9_.])\/(?:work|farm|home\/[a-z])\//
    expectNone(
      everything.flatMap((file) => rules.linesWith(file, machine, 'a path of one machine')),
    )
  })
})

describe('tests', () => {
  it('are neither singled out nor switched off without a reason', () => {
    expectNone(tests.flatMap(rules.switchedOff))
  })
})

describe('the rules themselves', () => {
  const sample = (path: string, text: string): SourceFile => parseSource(path, text)
  const words = (...halves: readonly string[]): string => halves.join('')

  it('catch an upward, a sideways and an outward import, of types too', () => {
    const text = [
      "import type { Store } from '../db/api.ts'",
      "export * from '../storage/fs-store.ts'",
      "const later = import('../../test/x.ts')",
      "import { sha256 } from '../core/digest.ts'",
    ].join('\n')
    const found = rules.upwardImports(sample('src/format/blob.ts', text))
    expect(found).toEqual([
      'src/format/blob.ts:1: format may not import db (../db/api.ts)',
      'src/format/blob.ts:2: format may not import storage (../storage/fs-store.ts)',
      'src/format/blob.ts:3: leaves src/: ../../test/x.ts',
    ])
  })

  it('let a layer import what lies below the layers it may import', () => {
    const text =
      "import { x } from '../trust/signer.ts'\nimport { y } from '../ann/vector-index.ts'"
    expect(rules.upwardImports(sample('src/transfer/export.ts', text))).toEqual([])
  })

  it('catch circles between rooms, and rooms that look at what stands above them', () => {
    const files = [
      sample('src/db/store.ts', "import './a/x.ts'"),
      sample('src/db/a/x.ts', "import '../b/y.ts'"),
      sample('src/db/b/y.ts', "import type { Z } from '../c/z.ts'\nimport '../../core/g.ts'"),
      sample('src/db/c/z.ts', ''),
    ]
    expect(rules.roomCircles(files, 'db')).toEqual([])
    const circle = sample('src/db/c/w.ts', "import '../a/x.ts'")
    expect(rules.roomCircles([...files, circle], 'db')).toEqual(['a -> b -> c -> a'])
    const above = sample('src/db/c/w.ts', "import '../store.ts'")
    expect(rules.roomCircles([...files, above], 'db')).toEqual(['. -> a -> b -> c -> .'])
  })

  it('catch circles of imports: of types, at run time, re-exports, and of one file alone', () => {
    const files = [
      sample('src/db/a.ts', "import type { B } from './b.ts'"),
      sample('src/db/b.ts', "export * from './c.ts'\nexport type D = import('./d.ts').D"),
      sample('src/db/c.ts', "const later = () => import('./a.ts')"),
      sample('src/db/d.ts', "import './b.ts'\nimport './e.ts'"),
      sample('src/db/e.ts', "import { e } from './e.ts'\nimport fs from 'node:fs'"),
      sample('src/db/f.ts', "import './a.ts'\nimport '../core/g.ts'"),
      sample('src/core/g.ts', ''),
    ]
    expect(rules.importCircles(files)).toEqual([
      'src/db/a.ts -> src/db/b.ts -> src/db/c.ts -> src/db/a.ts',
      'src/db/b.ts -> src/db/d.ts -> src/db/b.ts',
      'src/db/e.ts -> src/db/e.ts',
    ])
    expect(rules.importCircles(files.filter(({ path }) => !/[bde]\.ts$/.test(path)))).toEqual([])
  })

  it('catch files, clocks and randomness in a pure layer', () => {
    const text = "import fs from 'node:fs'\nconst a = [Date.now(), Math.random(), new Date()]"
    expect(rules.impurities(sample('src/core/x.ts', text))).toHaveLength(4)
  })

  it('catch the console and the process outside the command line', () => {
    const text = "import { stdout, pid } from 'node:process'\nconsole.log(1)\nprocess.exit(1)"
    expect(rules.processUses(sample('src/db/x.ts', text))).toHaveLength(3)
  })

  it('catch a package in two files and one that is not declared', () => {
    const two = ['src/a/a.ts', 'src/b/b.ts'].map((path) =>
      sample(path, "import 'zod'\nimport 'left'"),
    )
    const found = rules.packageUses(two)
    expect(found).toContain('zod: imported in src/a/a.ts, src/b/b.ts')
    expect(found).toContain('src/a/a.ts:2: "left" is no dependency')
  })

  it('catch a file that nobody names', () => {
    const used = sample('src/db/a.ts', '')
    const unused = sample('src/db/b.ts', "import './a.ts'")
    expect(rules.deadFiles([used, unused])).toEqual(['src/db/b.ts: unused'])
  })

  it('catch one line too many in a function and one character too many in a line', () => {
    const lines = '\n'.repeat(rules.FUNCTION_LINES_MAX)
    const long = sample('src/db/a.ts', `const f = () => {${lines}}\n//${'x'.repeat(99)}`)
    expect(rules.longFunctions(long)).toEqual(['src/db/a.ts:1: f takes 71 lines'])
    expect(rules.longLines(long)).toEqual(['src/db/a.ts:72: 101 characters'])
    expect(rules.longFunctions(sample('src/db/a.ts', `() => {${lines.slice(1)}}`))).toEqual([])
  })

  it('catch names, leftovers and tests switched off', () => {
    expect(rules.badName(sample('src/db/fooBar.ts', ''))).toHaveLength(1)
    expect(rules.badName(sample('src/db/utils.ts', ''))).toHaveLength(1)
    const left = sample('src/db/a.ts', `// ${words('TO', 'DO')}: later\n// a ${words('st', 'ub')}`)
    expect(rules.leftoverWords(left)).toHaveLength(2)
    const off = sample(
      'test/a.test.ts',
      `${words('it', '.only')}('a')\n\n${words('it', '.skip')}('b')`,
    )
    expect(rules.switchedOff(off)).toHaveLength(2)
  })
})
