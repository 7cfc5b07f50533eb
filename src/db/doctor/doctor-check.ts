/** One line of `doctor`. */
export interface DoctorCheck {
  readonly name: string
  readonly status: 'ok' | 'warn' | 'fail'
  readonly message: string
  /** How to mend it; empty where there is nothing to mend. */
  readonly fix: string
}

export const fine = (name: string, message: string): DoctorCheck => ({
  name,
  status: 'ok',
  message,
  fix: '',
})

/** Something works, but not all of it. */
export const warned = (name: string, message: string, fix: string): DoctorCheck => ({
  name,
  status: 'warn',
  message,
  fix,
})

/** Something does not work until it is mended. */
export const failed = (name: string, message: string, fix: string): DoctorCheck => ({
  name,
  status: 'fail',
  message,
  fix,
})
