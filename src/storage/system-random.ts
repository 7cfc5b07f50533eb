import { randomBytes } from 'node:crypto'
import type { RandomBytes } from '../core/clock.ts'

/** Random bytes of the operating system, fit for keys. */
export const systemRandom: RandomBytes = (bytes) => new Uint8Array(randomBytes(bytes))
