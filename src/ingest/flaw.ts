/** Why a row is not taken, before the reader adds where it stands. Codes as in `Reject.code`. */
export class Flaw {
  readonly code: string
  readonly reason: string
  readonly column: string | undefined
  /** Offset from the start of the row, where it is known better. */
  readonly byte: number | undefined
  /** Components of a vector of another dimension. */
  readonly found: number | undefined

  constructor(
    code: string,
    reason: string,
    place: { column?: string; byte?: number; found?: number } = {},
  ) {
    this.code = code
    this.reason = reason
    this.column = place.column
    this.byte = place.byte
    this.found = place.found
  }
}
