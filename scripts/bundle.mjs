// Puts the sources together into few files, so that a command starts fast: reading four hundred
// modules took longer than most commands do. Packages stay outside.

import { join } from 'node:path'

/** What is started by its path: the library, the command line, the modules of worker threads. */
const ENTRIES = {
  index: 'src/index.ts',
  main: 'src/cli/main.ts',
  'look-worker': 'src/db/states/look-worker.ts',
  'task-worker': 'src/ann/task-worker.ts',
  'build-worker': 'src/ann/build-worker.ts',
  'quiet-build-worker': 'src/db/open/quiet-build-worker.ts',
}

/**
 * What is loaded as a whole. What two of them need is a file of its own, so that neither loads all
 * of the other; every file costs a start about a millisecond, and there were fifty.
 */
const PARTS = {
  cli: ['src/cli/run-cli.ts', 'src/cli/io.ts', 'src/cli/load-engine.ts'],
  engine: ['src/index.ts'],
  main: ['src/cli/main.ts'],
  worker: Object.values(ENTRIES).filter((path) => path.endsWith('-worker.ts')),
}

/**
 * Writes `lib/` into a folder that lies beside package.json: modules look for that two folders up,
 * as they do in src/, and for the modules of workers beside themselves.
 *
 * @throws where rolldown is not installed
 */
export async function bundle(root, dist) {
  const { rolldown } = await import('rolldown')
  const options = {
    cwd: root,
    input: ENTRIES,
    platform: 'node',
    external: (id) => !id.startsWith('.') && !id.startsWith('/') && !(id in ENTRIES),
    // Files of parts are beneath those that are started, which keep the exports they have.
    preserveEntrySignatures: 'allow-extension',
  }
  const partOf = partsIn(root, await importsOf(rolldown, options))
  const bundled = await rolldown(options)
  try {
    await bundled.write({
      dir: join(dist, 'lib'),
      format: 'esm',
      entryFileNames: '[name].js',
      // All of it is read at every start: 5 ms less without comments, in ASCII.
      comments: false,
      charset: 'ascii',
      codeSplitting: {
        includeDependenciesRecursively: false,
        groups: [{ name: partOf, debugName: 'parts' }],
      },
    })
  } finally {
    await bundled.close()
  }
}

/** What each module imports at its start. */
async function importsOf(rolldown, options) {
  const imports = new Map()
  const plugin = {
    name: 'imports',
    buildEnd() {
      for (const id of this.getModuleIds()) imports.set(id, this.getModuleInfo(id).importedIds)
    },
  }
  const bundled = await rolldown({ ...options, plugins: [plugin] })
  await bundled.generate()
  await bundled.close()
  return imports
}

/**
 * The file of a module: named after all parts that need it, or null where none does and for what is
 * started itself. What a module needs belongs to the same parts or more, so that files never need
 * each other.
 */
function partsIn(root, imports) {
  const parts = Object.entries(PARTS).map(([name, starts]) => {
    const modules = new Set()
    const waiting = starts.map((start) => join(root, start))
    for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
      if (modules.has(id) || !imports.has(id)) continue
      modules.add(id)
      waiting.push(...imports.get(id))
    }
    return { name, modules }
  })
  const entries = new Set(Object.values(ENTRIES).map((path) => join(root, path)))
  return (id) => {
    if (entries.has(id)) return null
    const names = parts.filter(({ modules }) => modules.has(id)).map(({ name }) => name)
    return names.length === 0 ? null : names.join('-')
  }
}
