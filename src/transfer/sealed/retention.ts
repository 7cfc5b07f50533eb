import { AkidbError } from '../../errors/errors.ts'
import type { Retention } from '../../storage/object-store.ts'

/** How long, and how hard, something is to be locked. */
export interface RetentionWish {
  readonly mode: Retention['mode']
  /** Milliseconds from now on. */
  readonly forMs: number
}

/**
 * The end of a retention that begins now: rounded up to the first of a month, 00:00 UTC, so that
 * what is sealed day by day falls free together and is not extended every night.
 */
export function retainUntilMs(nowMs: number, forMs: number): number {
  const end = new Date(nowMs + forMs)
  const monthMs = Date.UTC(end.getUTCFullYear(), end.getUTCMonth())
  if (monthMs === end.getTime()) return monthMs
  return Date.UTC(end.getUTCFullYear(), end.getUTCMonth() + 1)
}

/** What a wish means for an object that is there. */
export type RetentionChange = 'set' | 'extended' | 'kept'

/**
 * Retention only grows: longer is kept, and COMPLIANCE never becomes GOVERNANCE again.
 *
 * @throws RETENTION where it would have to be extended under COMPLIANCE, and GOVERNANCE was asked
 */
export function retentionChange(
  key: string,
  now: Retention | undefined,
  wanted: Retention | undefined,
): { readonly change: RetentionChange; readonly retention?: Retention } {
  if (wanted === undefined) return { change: 'kept' }
  if (now === undefined) return { change: 'set', retention: wanted }
  const hardens = now.mode === 'GOVERNANCE' && wanted.mode === 'COMPLIANCE'
  if (now.untilMs >= wanted.untilMs && !hardens) return { change: 'kept' }
  if (now.mode === 'COMPLIANCE' && wanted.mode === 'GOVERNANCE') {
    throw new AkidbError('RETENTION', `${key} is held under COMPLIANCE, and would stay so`, {
      hint: 'Give --mode COMPLIANCE to extend it, or a shorter --retain to leave it as it is.',
      details: { key, until: new Date(now.untilMs).toISOString() },
    })
  }
  const untilMs = Math.max(now.untilMs, wanted.untilMs)
  return { change: 'extended', retention: { mode: wanted.mode, untilMs } }
}
