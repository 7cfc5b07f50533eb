import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'

/** A vector of which only some components are named; the others are 0. */
export interface SparseVector {
  /** Shape (pairs,): which components, u32. */
  readonly indices: Uint32Array
  /** Shape (pairs,). */
  readonly values: Float32Array
}

/**
 * The same vector with its pairs in ascending order of indices. Pairs of value 0 stay.
 *
 * @throws BAD_INPUT where an index stands twice, a value is not finite, or there are more indices
 *   than values or fewer; LIMIT over sparsePairsMax
 */
export function checkedSparse({ indices, values }: SparseVector): SparseVector {
  if (indices.length !== values.length) {
    throw wrong(`has ${indices.length} indices and ${values.length} values`)
  }
  if (indices.length > limits.sparsePairsMax) {
    throw new AkidbError('LIMIT', `a sparse vector has ${indices.length} pairs`, {
      hint: `At most ${limits.sparsePairsMax} (sparsePairsMax).`,
      details: { limit: 'sparsePairsMax', max: limits.sparsePairsMax },
    })
  }
  if (!values.every(Number.isFinite)) throw wrong('holds a value that is not finite')
  if (isAscending(indices)) return { indices, values }
  const order = Uint32Array.from(indices.keys())
  order.sort((a, b) => (indices[a] as number) - (indices[b] as number))
  const sorted = {
    indices: Uint32Array.from(order, (place) => indices[place] as number),
    values: Float32Array.from(order, (place) => values[place] as number),
  }
  if (!isAscending(sorted.indices)) throw wrong('has an index twice')
  return sorted
}

function isAscending(indices: Uint32Array): boolean {
  for (let i = 1; i < indices.length; i++) {
    if ((indices[i] as number) <= (indices[i - 1] as number)) return false
  }
  return true
}

const wrong = (what: string): AkidbError => new AkidbError('BAD_INPUT', `a sparse vector ${what}`)
