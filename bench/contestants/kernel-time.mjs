// What of a search is the kernel: kernel-time.mjs <store> <collection>. Every function that the
// kernel exports is timed by a wrapper put around it before the library loads it; the time of a
// search in the kernel is the sum over the calls that it makes.

import { library } from '../library.mjs'
import { median, quantile } from '../measure.mjs'
import { labseSet } from '../sets/labse-set.mjs'
import { openSet } from '../sets/set-file.mjs'

let inside = 0
const Real = WebAssembly.Instance
WebAssembly.Instance = class {
  constructor(module, imports) {
    const { exports } = new Real(module, imports)
    this.exports = Object.fromEntries(
      Object.entries(exports).map(([name, value]) => [
        name,
        typeof value === 'function' ? timed(value) : value,
      ]),
    )
  }
}

const [url, name] = process.argv.slice(2)
const set = openSet(await labseSet())
const { openStore } = await library()
const store = await openStore({ url, mode: 'read', resultCacheBytes: 0 })
const collection = await store.collection(name)
// An exact search has all rows brought to memory; without it the first hundreds read theirs.
await collection.search({ vector: set.queries[0], k: 10, exact: true })
for (const vector of set.queries.slice(0, 200)) await collection.search({ vector, k: 10 })

const kinds = { withPayload: true, withoutPayload: false }
const told = {}
for (const [kind, withPayload] of Object.entries(kinds)) {
  const whole = []
  const kernel = []
  for (const vector of set.queries) {
    inside = 0
    const from = performance.now()
    await collection.search({ vector, k: 10, withPayload })
    whole.push(performance.now() - from)
    kernel.push(inside)
  }
  told[kind] = { p50Ms: median(whole), p99Ms: quantile(whole, 0.99), kernelP50Ms: median(kernel) }
}
await store.close()
console.log(JSON.stringify(told))

function timed(call) {
  return (...values) => {
    const from = performance.now()
    const result = call(...values)
    inside += performance.now() - from
    return result
  }
}
