import { limits } from '../../core/limits.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import type { Environment } from '../states/environment.ts'
import { isLapsed } from '../states/pins.ts'

/**
 * A list of what is about to be deleted, `gc/<20 digits>.json`: writers wait for its end before
 * they believe that something on it is there. In a folder it holds for as long as its collector
 * lives. Machines that share a bucket see no locks of each other: there it holds for
 * limits.gcRecordLifeMs by the bucket's clock, is renewed while work goes on, and nothing on it is
 * deleted later than limits.gcStopMs after that, so that a collector that stood still for long
 * never deletes what a writer has begun to name again.
 */
export class CondemnedList {
  readonly #environment: Environment
  readonly #key: string
  readonly #file: Uint8Array
  /** By this machine's clock. */
  #renewedMs: number
  /** A deletion whose end is not known may still come: the list must lapse by itself. */
  #inDoubt = false

  private constructor(
    environment: Environment,
    file: { readonly key: string; readonly body: Uint8Array; readonly renewedMs: number },
  ) {
    this.#environment = environment
    this.#key = file.key
    this.#file = file.body
    this.#renewedMs = file.renewedMs
  }

  /** Writes a list under a number of its own. */
  static async open(
    environment: Environment,
    condemned: readonly string[],
  ): Promise<CondemnedList> {
    const body = Buffer.from(JSON.stringify({ condemned }))
    for (let number = environment.clock.nowMs(); ; number++) {
      const key = `gc/${String(number).padStart(20, '0')}.json`
      const renewedMs = environment.clock.nowMs()
      const put = await environment.store.put(key, body)
      if (put === 'created') return new CondemnedList(environment, { key, body, renewedMs })
    }
  }

  /**
   * @param from where it lies, if not in the store
   * @returns whether it was there @throws CONFLICT where this process stood still for too long
   */
  async delete(key: string, from?: ObjectStore): Promise<boolean> {
    const { isShared } = this.#environment
    const store = from ?? this.#environment.store
    if (isShared !== true) return await store.delete(key)
    await this.#renew()
    try {
      return await store.delete(key, {
        notAfterMs: this.#renewedMs + limits.gcStopMs,
        onDoubt: () => {
          this.#inDoubt = true
        },
      })
    } catch (error) {
      this.#inDoubt = true
      throw error
    }
  }

  async #renew(): Promise<void> {
    const { clock, store } = this.#environment
    const ageMs = clock.nowMs() - this.#renewedMs
    if (ageMs < limits.gcRenewMs) return
    // Whoever began to name one of these since then did not wait for this list any more.
    if (ageMs > limits.gcStopMs) throw stoodStill()
    const renewedMs = clock.nowMs()
    const notAfterMs = this.#renewedMs + limits.gcStopMs
    await store.put(this.#key, this.#file, { mode: 'replace', notAfterMs })
    this.#renewedMs = renewedMs
  }

  /** Never throws: what stays lapses, or is closed by the next collection. */
  async close(): Promise<void> {
    if (this.#inDoubt) return
    await this.#environment.store.delete(this.#key, { tidies: true }).catch(() => undefined)
  }
}

const stoodStill = (): AkidbError =>
  new AkidbError('CONFLICT', 'this collection of garbage stood still for too long', {
    hint: 'Nothing is lost. Run akidb gc again.',
  })

/**
 * Closes lists whose collectors are dead: all of them in a folder, where the caller holds the lock
 * of collections; in a bucket those that have lapsed.
 */
export async function closeStaleLists({ store, isShared }: Environment): Promise<void> {
  const stale: string[] = []
  const nowMs = isShared === true ? await store.nowMs() : 0
  for await (const { key, modifiedMs } of store.list('gc/')) {
    if (isShared !== true || isLapsed(modifiedMs, nowMs)) stale.push(key)
  }
  for (const key of stale) await store.delete(key)
}
