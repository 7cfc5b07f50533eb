// The public library, as `buildEngine` compiled it.

import { join } from 'node:path'
import { engine } from './measure.mjs'

export const library = () => import(join(engine, 'dist', 'lib', 'index.js'))
