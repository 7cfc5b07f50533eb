// Exact nearest rows, float64, in plain JavaScript: what everybody is measured against where a set
// has no published answers.

/** The k rows of least distance that are offered, ties by the lower row. */
export class Nearest {
  constructor(k) {
    this.k = k
    this.rows = []
    this.distances = []
  }

  offer(row, distance) {
    const { rows, distances, k } = this
    if (rows.length === k && !(distance < distances[k - 1])) return
    let at = rows.length
    while (at > 0 && distances[at - 1] > distance) at--
    rows.splice(at, 0, row)
    distances.splice(at, 0, distance)
    if (rows.length > k) {
      rows.pop()
      distances.pop()
    }
  }

  /** k row numbers, −1 where fewer were offered. */
  filled() {
    return [...this.rows, ...new Array(this.k - this.rows.length).fill(-1)]
  }
}

/** Squared Euclidean distance of the query to the row that starts at `offset` of `base`. */
export function squaredDistance(base, offset, query) {
  let sum = 0
  for (let i = 0; i < query.length; i++) {
    const difference = base[offset + i] - query[i]
    sum += difference * difference
  }
  return sum
}
