/** What an operation does to ids: a value, or undefined for gone. */
export type Writes = ReadonlyMap<string, number | undefined>

export type OpKind = 'ingest' | 'delete' | 'revert' | 'log'

/** One changing operation as its client sees it; times are steps of the scheduler. */
export interface Op {
  readonly kind: OpKind
  readonly process: string
  readonly writes: Writes
  /** A delete by filter: takes only what is below this value. */
  readonly below?: number
  /** Acknowledged where it is not in the bucket yet: it takes effect later, or is kept apart. */
  readonly isLocal?: boolean
  readonly startStep: number
  /** When the client was told that it is done. */
  ackStep?: number
  /** When the client was told that it failed, or when its process died. */
  failStep?: number
  /** When its manifest was created; the log's writes have none. */
  commitStep?: number
}

/** Content of a state: id → value. */
export type Content = ReadonlyMap<string, number>

/** A promise that was not kept. */
export class Violation extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'Violation'
  }
}

/**
 * What clients did and were told, and whether what somebody reads can follow from it. Of every id
 * on its own: a value may be read where its write may have happened, and no write that began after
 * that one ended was done before the read began.
 */
export class History {
  readonly ops: Op[] = []
  readonly #step: () => number

  constructor(step: () => number) {
    this.#step = step
  }

  begin(input: Pick<Op, 'kind' | 'process' | 'writes' | 'below' | 'isLocal'>): Op {
    const op: Op = { ...input, startStep: this.#step() }
    this.ops.push(op)
    return op
  }

  ack(op: Op): void {
    op.ackStep = this.#step()
  }

  fail(op: Op): void {
    op.failStep ??= this.#step()
  }

  committed(op: Op): void {
    op.commitStep = this.#step()
  }

  /**
   * @param content what was read
   * @param startStep when the read began
   * @throws Violation
   */
  checkRead(who: string, ids: readonly string[], content: Content, startStep: number): void {
    for (const id of content.keys()) {
      if (!ids.includes(id)) throw new Violation(`${who} read "${id}", which nobody wrote`)
    }
    for (const id of ids) this.#checkId(who, id, content.get(id), startStep)
  }

  /**
   * What was acknowledged before it was in the bucket is there at the end, or something wrote over
   * it that was not done before it began, or it was kept apart.
   *
   * @param kept writes that were kept apart: id and value, or undefined for a delete
   * @throws Violation
   */
  checkLocal(content: Content, kept: readonly (readonly [string, number | undefined])[]): void {
    for (const op of this.ops) {
      if (op.isLocal !== true || op.ackStep === undefined) continue
      for (const [id, value] of op.writes) {
        if (content.get(id) === value) continue
        if (kept.some(([keptId, keptValue]) => keptId === id && keptValue === value)) continue
        const mayHide = (other: Op): boolean =>
          other !== op &&
          other.writes.has(id) &&
          mayHaveHappened(other) &&
          !((other.commitStep ?? other.ackStep ?? Number.POSITIVE_INFINITY) < op.startStep)
        if (this.ops.some(mayHide)) continue
        throw new Violation(`silently lost: ${describe(op, id)}`)
      }
    }
  }

  #checkId(who: string, id: string, value: number | undefined, startStep: number): void {
    const writes = this.ops.filter((op) => op.writes.has(id))
    const done = writes.filter((op) => doneStep(op) < startStep)
    const superseded = (endStep: number): boolean =>
      done.some((op) => op.startStep > endStep && takes(op, value))
    if (value === undefined && !superseded(-1) && done.length === 0) return
    const from = writes.filter((op) => op.writes.get(id) === value && mayHaveHappened(op))
    const mayBeLast = (op: Op): boolean =>
      !superseded(endStep(op)) && (op.below === undefined || !isSpared(writes, done, id))
    if (from.some(mayBeLast)) return
    const lines = writes.map((op) => `\n  ${describe(op, id)}`).join('')
    const reason = from.length === 0 ? 'nobody wrote that' : 'that was overwritten before'
    throw new Violation(
      `${who}, reading from step ${startStep}, found "${id}" = ${value}: ${reason}${lines}`,
    )
  }
}

/** From when on every reader must see it, or what came after it. */
const doneStep = (op: Op): number =>
  op.commitStep ?? (op.isLocal === true ? undefined : op.ackStep) ?? Number.POSITIVE_INFINITY

/** After which it changes nothing any more. */
const endStep = (op: Op): number =>
  op.isLocal === true
    ? Number.POSITIVE_INFINITY
    : (op.commitStep ?? op.ackStep ?? op.failStep ?? Number.POSITIVE_INFINITY)

/** A commit happened where its manifest is there, or where it had nothing to change. */
const mayHaveHappened = (op: Op): boolean => op.kind === 'log' || Number.isFinite(doneStep(op))

/** Whether an operation changes an id that has this value. */
const takes = ({ below }: Op, value: number | undefined): boolean =>
  below === undefined || (value !== undefined && value < below)

/** Whether the newest write for certain is one that no delete by filter may have taken. */
function isSpared(writes: readonly Op[], done: readonly Op[], id: string): boolean {
  const sweeps = writes.filter((op) => op.below !== undefined)
  const others = writes.filter((op) => op.below === undefined && mayHaveHappened(op))
  return done.some((last) => {
    const value = last.writes.get(id)
    if (last.below !== undefined || value === undefined) return false
    const isLast = others.every((op) => op === last || endStep(op) < last.startStep)
    return isLast && !sweeps.some((sweep) => takes(sweep, value))
  })
}

const describe = (op: Op, id: string): string => {
  const { kind, process, startStep, commitStep, ackStep, failStep } = op
  const times = [
    ['start', startStep],
    ['commit', commitStep],
    ['ack', ackStep],
    ['fail', failStep],
  ].filter(([, step]) => step !== undefined)
  const when = times.map(([name, step]) => `${name} ${step}`).join(', ')
  const which = op.below === undefined ? '' : ` below ${op.below}`
  return `${kind}${which} by ${process} "${id}" = ${op.writes.get(id)}, ${when}`
}
