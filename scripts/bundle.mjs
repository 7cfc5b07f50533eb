// Puts the sources together into few files, so that a command starts fast: reading three hundred
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
 * Writes `lib/` into a folder that lies beside package.json: modules look for that two folders up,
 * as they do in src/, and for the modules of workers beside themselves.
 *
 * @throws where rolldown is not installed
 */
export async function bundle(root, dist) {
  const { rolldown } = await import('rolldown')
  const bundled = await rolldown({
    cwd: root,
    input: ENTRIES,
    platform: 'node',
    external: (id) => !id.startsWith('.') && !id.startsWith('/') && !(id in ENTRIES),
  })
  try {
    await bundled.write({ dir: join(dist, 'lib'), format: 'esm', entryFileNames: '[name].js' })
  } finally {
    await bundled.close()
  }
}
