import { AkidbError, hasCode } from '../../errors/errors.ts'
import type { AuditPosition, Manifest } from '../../format/manifest.ts'
import type { LockHandle } from '../../storage/locks.ts'
import { type Environment, randomHex } from './environment.ts'

/** What is about to be done: the audit log's intent, durable before anything else is. */
export interface ActInput {
  readonly act: string
  readonly collection?: string
  readonly parent?: Manifest | undefined
  readonly details?: Readonly<Record<string, unknown>>
}

/** A changing act between its intent and its outcome (design §4). */
export interface Act {
  readonly id: string
  /** Log position that includes the intent: manifests of this act name it. */
  readonly point: AuditPosition
  /**
   * Says that its manifest may be there although writing it failed: then no outcome is written
   * here, and the next opening looks.
   */
  doubt(): void
  /**
   * Writes the outcome and lets go of the act's lock. Where that fails, the next opening does it.
   */
  finish(outcome: Readonly<Record<string, unknown>>): Promise<void>
}

export const actLockName = (id: string): string => `act-${id}`

/**
 * Runs one changing act in its order: intent, work, outcome. Where the work throws, the outcome
 * says `aborted` and the error goes on; where the process dies, the next opening writes the outcome
 * (recover.ts).
 */
export async function runAct<T>(
  environment: Environment,
  input: ActInput,
  work: (act: Act) => Promise<{ result: T; outcome: Readonly<Record<string, unknown>> }>,
): Promise<T> {
  const act = await beginAct(environment, input)
  const { result, outcome } = await work(act).catch(async (error: unknown) => {
    await abortAct(act, error)
    throw error
  })
  await act.finish({ result: 'done', ...outcome })
  return result
}

/**
 * Writes that it came to nothing, and why. Never throws: the error that led here is the one to
 * report.
 */
export async function abortAct(act: Act, error: unknown): Promise<void> {
  const code = error instanceof AkidbError ? error.code : 'INTERNAL'
  await act.finish({ result: 'aborted', code }).catch(() => undefined)
}

/**
 * The first half of runAct, for work that spans several calls. The caller finishes it, whatever
 * happens.
 */
export async function beginAct(environment: Environment, input: ActInput): Promise<Act> {
  const id = randomHex(environment, 8)
  const lock = await environment.locks.acquire(actLockName(id), environment.lockWaitMs)
  const base = {
    act: input.act,
    actId: id,
    actor: environment.actor,
    ...(input.collection === undefined ? {} : { collection: input.collection }),
  }
  try {
    const audit = await environment.audit()
    const { size, root } = await audit.append([
      {
        ...base,
        phase: 'intent',
        ...(environment.reason === undefined ? {} : { reason: environment.reason }),
        details: {
          ...(input.parent === undefined ? {} : { parent: input.parent.commit.stateRoot }),
          ...input.details,
        },
      },
    ])
    let inDoubt = false
    return {
      id,
      point: { logId: audit.logId, size, root },
      doubt: () => {
        inDoubt = true
      },
      finish: async (details) => {
        try {
          if (inDoubt) return
          await audit.append([{ ...base, phase: 'outcome', details }])
          await endActLock(environment, lock)
        } finally {
          await lock.release()
        }
      },
    }
  } catch (error) {
    // Its file stays: the intent may be in the log all the same.
    await lock.release()
    throw error
  }
}

/** Removes the lock of an act that has its outcome. */
export async function endActLock(environment: Environment, lock: LockHandle): Promise<void> {
  await lock.release()
  try {
    await environment.locks.remove(lock.name)
  } catch (error) {
    // Somebody who recovers acts holds it for a moment, and removes it.
    if (!hasCode(error, 'LOCKED')) throw error
  }
}
