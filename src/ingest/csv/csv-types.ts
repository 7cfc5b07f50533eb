import { limits } from '../../core/limits.ts'
import type { FieldType } from '../../core/schema.ts'
import { cellType } from '../type-check.ts'

/**
 * Guesses a column's type from its first limits.typeSampleCells non-empty cells, all of them in
 * canonical form.
 */
export class ColumnGuess {
  #cells = 0
  #type: 'integer' | 'float' | 'boolean' | 'string' | undefined

  /** A column without cells is text. */
  get type(): FieldType {
    return this.#type ?? 'string'
  }

  get isDecided(): boolean {
    return this.#type === 'string' || this.#cells >= limits.typeSampleCells
  }

  see(cell: string | null): void {
    if (cell === null || cell === '' || this.isDecided) return
    this.#cells++
    const seen = cellType(cell)
    if (this.#type === undefined || this.#type === seen) this.#type = seen
    else if (isNumber(this.#type) && isNumber(seen)) this.#type = 'float'
    else this.#type = 'string'
  }
}

const isNumber = (type: string): boolean => type === 'integer' || type === 'float'
