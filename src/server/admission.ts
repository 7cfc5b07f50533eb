import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'
import { busy } from './http-error.ts'

/** Bytes of bodies that one request holds. */
export interface BodyBudget {
  /** @throws LIMIT over one request's share (413) or over everybody's (503) */
  take(bytes: number): void
}

/** Bounds what the server does at once: nothing queues, what is too much is refused. */
export class Admission {
  #requests = 0
  #bytes = 0
  #stopping = false
  #idle: (() => void) | undefined

  /** Requests that are being answered. */
  get requests(): number {
    return this.#requests
  }

  get isStopping(): boolean {
    return this.#stopping
  }

  /** Runs one request within the bounds. */
  async run<T>(work: (budget: BodyBudget) => Promise<T>): Promise<T> {
    if (this.#stopping) throw busy('the server is stopping')
    if (this.#requests >= limits.serverRequestsMax) {
      throw busy(`the server answers ${limits.serverRequestsMax} requests already`)
    }
    let held = 0
    const take = (bytes: number): void => {
      if (held + bytes > limits.serverBodyBytesMax) throw tooLarge()
      if (this.#bytes + bytes > limits.serverBodiesBytesMax) {
        throw busy('the server holds too many large requests already')
      }
      held += bytes
      this.#bytes += bytes
    }
    this.#requests++
    try {
      return await work({ take })
    } finally {
      this.#requests--
      this.#bytes -= held
      if (this.#requests === 0) this.#idle?.()
    }
  }

  /** Admits nobody any more, and waits until nobody is left or `timeoutMs` is over. */
  async stop(timeoutMs: number): Promise<void> {
    this.#stopping = true
    if (this.#requests === 0) return
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((done) => {
      this.#idle = done
      timer = setTimeout(done, timeoutMs)
    })
    clearTimeout(timer)
  }
}

const tooLarge = (): AkidbError =>
  new AkidbError(
    'LIMIT',
    `the body is over serverBodyBytesMax (${limits.serverBodyBytesMax} bytes)`,
    { hint: 'Send the records in several requests, or ingest a file.' },
  )
