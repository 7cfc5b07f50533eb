import { AkidbError } from '../errors/errors.ts'
import type { AuditPosition, Manifest } from '../format/manifest.ts'
import type { LockHandle } from '../storage/locks.ts'
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
  /** Writes the outcome and lets go of the act's lock. */
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
  try {
    const { result, outcome } = await work(act)
    await act.finish({ result: 'done', ...outcome })
    return result
  } catch (error) {
    await abortAct(act, error)
    throw error
  }
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
  const audit = await environment.audit()
  const base = {
    act: input.act,
    actId: id,
    actor: environment.actor,
    ...(input.collection === undefined ? {} : { collection: input.collection }),
  }
  try {
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
    return {
      id,
      point: { logId: audit.logId, size, root },
      finish: async (details) => {
        await audit.append([{ ...base, phase: 'outcome', details }])
        await endLock(environment, lock)
      },
    }
  } catch (error) {
    await endLock(environment, lock)
    throw error
  }
}

async function endLock(environment: Environment, lock: LockHandle): Promise<void> {
  await lock.release()
  await environment.locks.remove(lock.name)
}
