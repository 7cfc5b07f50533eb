import { limits } from '../core/limits.ts'

/** Reports packing and verifying; a shape that the database's progress also has. */
export interface BundleProgress {
  readonly stage: 'pack' | 'verify'
  readonly done: number
  readonly total?: number
  readonly unit: 'bytes'
  readonly item?: string
}
export type OnBundleProgress = (progress: BundleProgress) => void

/** Bytes between two reports, so that progress costs nothing. */
const STEP_BYTES = 2 * limits.chunkBytesLarge

/** Turns a position that is told often into reports that come now and then. */
export class ProgressSteps {
  readonly #stage: 'pack' | 'verify'
  readonly #report: OnBundleProgress | undefined
  #next = 0
  #total: number | undefined

  constructor(stage: 'pack' | 'verify', report: OnBundleProgress | undefined) {
    this.#stage = stage
    this.#report = report
  }

  /** Bytes of the whole bundle, once they are known. */
  expect(total: number): void {
    this.#total = total
  }

  at(done: number, item: string): void {
    if (done < this.#next) return
    this.#next = done + STEP_BYTES
    this.#tell(done, item)
  }

  end(done: number): void {
    this.#tell(done)
  }

  #tell(done: number, item?: string): void {
    const total = this.#total === undefined ? {} : { total: this.#total }
    const named = item === undefined ? {} : { item }
    this.#report?.({ stage: this.#stage, done, unit: 'bytes', ...total, ...named })
  }
}
