import { AkidbError } from '../../errors/errors.ts'
import type { CheckResult } from '../api/api.ts'

export type CheckProblem = CheckResult['problems'][number]

/** Problems that one check lists; more are counted in the last one's message. */
export const CHECK_PROBLEMS_MAX = 1_000

/** What a check found, each (code, key, message) once. */
export class CheckProblems {
  readonly #list: CheckProblem[] = []
  readonly #known = new Set<string>()
  #left = 0

  add(code: string, key: string, message: string): void {
    if (this.#known.has(`${code} ${key} ${message}`)) return
    if (this.#list.length >= CHECK_PROBLEMS_MAX) {
      this.#left++
      return
    }
    this.#known.add(`${code} ${key} ${message}`)
    this.#list.push({ code, key, message })
  }

  /** Runs one look at something; an operator's error becomes a problem, anything else goes on. */
  async look<T>(key: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof AkidbError)) throw error
      this.add(error.code, key, error.message)
      return undefined
    }
  }

  get list(): readonly CheckProblem[] {
    if (this.#left === 0) return this.#list
    const message = `${this.#left} more problems are not listed`
    return [...this.#list, { code: 'LIMIT', key: '', message }]
  }
}
