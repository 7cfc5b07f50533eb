import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { OpenOptions } from './api.ts'

/** What callers without types hand over instead of a request. @throws USAGE */
export function checkRequest(call: string, request: unknown): void {
  if (typeof request === 'object' && request !== null && !Array.isArray(request)) return
  throw new AkidbError('USAGE', `${call} takes an object with its request, not ${named(request)}`)
}

/** The same in place of a list. @throws USAGE */
export function checkList(what: string, list: unknown): void {
  if (Array.isArray(list)) return
  throw new AkidbError('USAGE', `${what} takes an array, not ${named(list)}`)
}

/** The same in place of what can be iterated. @throws USAGE */
export function checkIterable(call: string, source: unknown): void {
  const isObject = typeof source === 'object' && source !== null
  if (isObject && (Symbol.iterator in source || Symbol.asyncIterator in source)) return
  throw new AkidbError('USAGE', `${call} takes an iterable of requests, not ${named(source)}`)
}

/** @throws USAGE for a mode or number of threads that is none; LIMIT for too many threads */
export function checkOpenOptions(options: OpenOptions): void {
  checkRequest('openStore', options)
  const { mode, threads } = options
  if (mode !== 'read' && mode !== 'write') {
    throw new AkidbError(
      'USAGE',
      `a store is opened with mode 'read' or 'write', not ${named(mode)}`,
    )
  }
  if (threads === undefined) return
  if (!Number.isInteger(threads) || threads < 1) {
    throw new AkidbError('USAGE', `threads are a whole number from 1 on, not ${named(threads)}`)
  }
  if (threads > limits.buildThreadsMax) {
    const most = `${limits.buildThreadsMax} (buildThreadsMax)`
    throw new AkidbError('LIMIT', `${threads} threads; at most ${most} are allowed`)
  }
}

function named(value: unknown): string {
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'string') return `the text "${value.slice(0, 40)}"`
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}
