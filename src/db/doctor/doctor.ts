import type { StoreRequest } from '../open/store-request.ts'
import type { DoctorCheck } from './doctor-check.ts'
import { checkRuntime } from './doctor-runtime.ts'
import { checkPlaceOf } from './doctor-store.ts'

/** `ok` is false where a check failed; a warning fails nothing. */
export interface DoctorResult {
  readonly ok: boolean
  readonly checks: readonly DoctorCheck[]
}

/**
 * Looks at runtime, file system, store, state folder, keys, locks, audit log and clock. Writes
 * nothing but small probe files, which it removes again. Never throws for what it finds.
 */
export async function doctor(request: StoreRequest): Promise<DoctorResult> {
  const checks = [...(await checkRuntime()), ...(await checkPlaceOf(request))]
  return { ok: checks.every(({ status }) => status !== 'fail'), checks }
}
