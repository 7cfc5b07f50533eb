import type { EventCounts } from './follow-events.ts'

/** One request that was answered. */
export interface Observation {
  readonly method: string
  /** Pattern of the path, so that labels stay few. */
  readonly route: string
  readonly status: number
  readonly seconds: number
  readonly code?: string
}

/** What is measured at the moment of a scrape. */
export interface Gauges {
  readonly requestsInFlight: number
  /** Rows that only the write-ahead log has; undefined where it cannot be told. */
  readonly rowsAtRisk: number | undefined
  /** Acknowledged here and not in the bucket yet; absent where writes wait for the bucket. */
  readonly unsent?: UnsentRows | undefined
  /** Absent where no source of events is followed. */
  readonly events?: EventCounts
  /** Of the store's kept answers. */
  readonly results?: ResultCacheUsage | undefined
}

/** See Durability. */
export interface UnsentRows {
  readonly rows: number
  /** Milliseconds since 1970; 0: there are none. */
  readonly sinceMs: number
}

interface ResultCacheUsage {
  readonly hits: number
  readonly misses: number
  readonly entries: number
  readonly bytes: number
}

/** Upper bounds of the latency buckets, in seconds. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

interface Latency {
  readonly counts: number[]
  sum: number
  count: number
}

/**
 * Counters and histograms in Prometheus' text format
 * (prometheus.io/docs/instrumenting/exposition_formats, version 0.0.4).
 */
export class Metrics {
  readonly #requests = new Map<string, number>()
  readonly #errors = new Map<string, number>()
  readonly #latency = new Map<string, Latency>()
  #total = 0

  get total(): number {
    return this.#total
  }

  observe({ method, route, status, seconds, code }: Observation): void {
    this.#total++
    const labels = `method="${method}",route="${route}",status="${status}"`
    this.#requests.set(labels, (this.#requests.get(labels) ?? 0) + 1)
    if (code !== undefined) {
      this.#errors.set(`code="${code}"`, (this.#errors.get(`code="${code}"`) ?? 0) + 1)
    }
    const latency = this.#latency.get(route) ?? { counts: BUCKETS.map(() => 0), sum: 0, count: 0 }
    this.#latency.set(route, latency)
    const bucket = BUCKETS.findIndex((bound) => seconds <= bound)
    if (bucket >= 0) latency.counts[bucket] = (latency.counts[bucket] ?? 0) + 1
    latency.sum += seconds
    latency.count++
  }

  expose(gauges: Gauges): string {
    const { rss, heapUsed, external } = process.memoryUsage()
    const lines = [
      ...family('akidb_http_requests_total', 'counter', 'HTTP requests answered', this.#requests),
      ...family('akidb_errors_total', 'counter', 'Errors by code', this.#errors),
      ...this.#histogram('akidb_http_request_duration_seconds'),
      ...gauge('akidb_http_requests_in_flight', 'Being answered', gauges.requestsInFlight),
      ...gauge('akidb_wal_rows', 'Rows in the write-ahead log only', gauges.rowsAtRisk),
      ...unsentLines(gauges.unsent),
      ...eventLines(gauges.events),
      ...resultLines(gauges.results),
      ...gauge('process_resident_memory_bytes', 'Resident memory', rss),
      ...gauge('process_heap_bytes', 'Memory of the JavaScript heap in use', heapUsed),
      ...gauge('process_external_memory_bytes', 'Memory held outside that heap', external),
      ...gauge('process_uptime_seconds', 'Time since the start', process.uptime()),
    ]
    return `${lines.join('\n')}\n`
  }

  #histogram(name: string): string[] {
    const lines = head(name, 'histogram', 'Time to answer')
    for (const [route, { counts, sum, count }] of this.#latency) {
      let below = 0
      BUCKETS.forEach((bound, i) => {
        below += counts[i] ?? 0
        lines.push(`${name}_bucket{route="${route}",le="${bound}"} ${below}`)
      })
      lines.push(`${name}_bucket{route="${route}",le="+Inf"} ${count}`)
      lines.push(`${name}_sum{route="${route}"} ${sum}`, `${name}_count{route="${route}"} ${count}`)
    }
    return lines
  }
}

function unsentLines(unsent: UnsentRows | undefined): string[] {
  if (unsent === undefined) return []
  const { rows, sinceMs } = unsent
  const seconds = sinceMs === 0 ? 0 : Math.max(0, (Date.now() - sinceMs) / 1_000)
  return [
    ...gauge('akidb_rows_at_risk', 'Rows acknowledged that are not in the bucket yet', rows),
    ...gauge('akidb_rows_at_risk_seconds', 'Since the oldest of them was acknowledged', seconds),
  ]
}

const eventLines = (events: EventCounts | undefined): string[] =>
  events === undefined
    ? []
    : [
        ...head('akidb_events_total', 'counter', 'Events of the bucket that were received'),
        `akidb_events_total ${events.received}`,
        ...head('akidb_event_gaps_total', 'counter', 'Times that events may have been missed'),
        `akidb_event_gaps_total ${events.gaps}`,
        ...gauge('akidb_events_connected', 'Whether events come', events.connected ? 1 : 0),
      ]
const resultLines = (results: ResultCacheUsage | undefined): string[] => {
  if (results === undefined) return []
  const { hits, misses, entries, bytes } = results
  const lookups = new Map([
    ['result="hit"', hits],
    ['result="miss"', misses],
  ])
  const name = 'akidb_result_cache_lookups_total'
  return [
    ...family(name, 'counter', 'Searches looked up among kept answers', lookups),
    ...gauge('akidb_result_cache_entries', 'Answers kept', entries),
    ...gauge('akidb_result_cache_bytes', 'Memory of the answers kept', bytes),
  ]
}

const head = (name: string, type: string, help: string): string[] => [
  `# HELP ${name} ${help}`,
  `# TYPE ${name} ${type}`,
]

const gauge = (name: string, help: string, value: number | undefined): string[] =>
  value === undefined ? [] : [...head(name, 'gauge', help), `${name} ${value}`]

const family = (
  name: string,
  type: string,
  help: string,
  values: ReadonlyMap<string, number>,
): string[] => [
  ...head(name, type, help),
  ...[...values].map(([labels, value]) => `${name}{${labels}} ${value}`),
]
