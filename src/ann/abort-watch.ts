/**
 * Tasks that end where their signal says so: one listener for all tasks of a signal, since setting
 * one up for each takes as long as a tenth of a search.
 */
export class AbortWatch<Task> {
  readonly #onAbort: (task: Task, reason: unknown) => void
  readonly #watched = new Map<AbortSignal, Watched<Task>>()

  /** @param onAbort called once for each task that is watched when its signal is aborted */
  constructor(onAbort: (task: Task, reason: unknown) => void) {
    this.#onAbort = onAbort
  }

  /** The signal must not be aborted yet. */
  add(signal: AbortSignal, task: Task): void {
    const watched = this.#watched.get(signal) ?? this.#watch(signal)
    watched.tasks.add(task)
  }

  /** Nothing listens any more to a signal without tasks. */
  remove(signal: AbortSignal, task: Task): void {
    const watched = this.#watched.get(signal)
    if (watched?.tasks.delete(task) !== true || watched.tasks.size > 0) return
    this.#watched.delete(signal)
    signal.removeEventListener('abort', watched.listener)
  }

  #watch(signal: AbortSignal): Watched<Task> {
    const tasks = new Set<Task>()
    const listener = (): void => {
      this.#watched.delete(signal)
      for (const task of tasks) this.#onAbort(task, signal.reason)
    }
    signal.addEventListener('abort', listener, { once: true })
    const watched = { tasks, listener }
    this.#watched.set(signal, watched)
    return watched
  }
}

interface Watched<Task> {
  readonly tasks: Set<Task>
  readonly listener: () => void
}
