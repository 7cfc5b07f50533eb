// The public library: the build where there is one, else the sources.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './measure.mjs'

export async function library() {
  const built = join(root, 'dist', 'index.js')
  return import(existsSync(built) ? built : join(root, 'src', 'index.ts'))
}
