/** Options of `akidb search`, as they are given. */
export interface SearchFlags {
  readonly vector?: string
  readonly id?: string
  readonly text?: string
  readonly queries?: string
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
