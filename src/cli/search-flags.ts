import type { TextSearch } from '../index.ts'

/** Options of `akidb search`, as they are given. */
export interface SearchFlags {
  readonly vector?: string
  readonly id?: string
  readonly text?: string
  readonly textField?: readonly string[]
  readonly queries?: string
  readonly query?: string
  readonly like?: readonly string[]
  readonly unlike?: readonly string[]
  readonly strategy?: 'average_vector' | 'best_score' | 'sum_scores'
  readonly orderBy?: string
  readonly descending?: true
  readonly startFrom?: string
  readonly sample?: number
  readonly seed?: number
  readonly fusion?: 'rrf' | 'linear' | 'dbsf'
  readonly vectorWeight?: number
  readonly mmr?: number
  readonly candidates?: number
  readonly groupBy?: string
  readonly groupSize?: number
  readonly scoreThreshold?: number
  readonly offset?: number
  readonly use?: 'vector' | 'text' | 'hybrid'
  readonly idColumn?: string
  readonly vectorColumn?: string
  readonly vectorColumns?: string
  readonly textColumn?: readonly string[]
  readonly k?: number
  readonly ef?: number
  readonly exact?: true
  readonly filter?: string
  readonly asOf?: string
  readonly withVector?: true
  readonly withSource?: true
  readonly withPayload?: true
  readonly explain?: true
  readonly format?: 'table' | 'csv' | 'jsonl'
}

/** The words of a query, with the fields that `--text-field` names. */
export const wordsOf = (text: string, { textField }: SearchFlags): string | TextSearch =>
  textField === undefined ? text : { query: text, fields: textField }
