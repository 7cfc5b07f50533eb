/**
 * Reports long work. `total` where it is known; units as said by the operation ('bytes' or 'rows').
 */
export interface Progress {
  readonly stage: string
  readonly done: number
  readonly total?: number
  readonly unit: 'bytes' | 'rows' | 'files' | 'blobs'
  readonly item?: string
  readonly rows?: number
}
export type OnProgress = (progress: Progress) => void
