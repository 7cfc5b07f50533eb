import { basename } from 'node:path'
import type { Progress } from '../index.ts'
import { escapeLine } from './escape.ts'
import { humanBytes, humanCount, humanDuration } from './human.ts'
import { jsonLine } from './json-document.ts'
import type { Output } from './output.ts'

export type ProgressMode = 'bar' | 'plain' | 'json' | 'minutes' | 'none'

/** Ten a second at most, so that a slow terminal does not slow the work. */
const REDRAW_MS = 100
const LINE_MS = 60_000
/** The rate is that of the last two minutes. */
const WINDOW_MS = 120_000
const WINDOW_POINTS_MAX = 240

/** Shows how long work goes on. */
export interface ProgressDisplay {
  /** Says at once that work starts. */
  start(): void
  update(progress: Progress): void
  /** The present state as one line, on demand. */
  printNow(): void
  /** Takes the bar off the terminal for other lines; it comes back with the next update. */
  clear(): void
  /** Clears the bar, or writes the summary line: how much in what time, or that it broke off. */
  finish(succeeded: boolean): void
}

/**
 * bar: one line, redrawn; plain: a start line, a line a minute, a summary; json: the same as
 * objects; minutes: JSON objects, but only a line a minute (so that short work leaves stderr
 * empty); none: only on demand.
 */
export function resolveProgressMode(
  wanted: string,
  where: { readonly terminal: boolean; readonly json: boolean; readonly quiet: boolean },
): ProgressMode {
  if (wanted === 'bar') return where.terminal ? 'bar' : 'plain'
  if (wanted === 'plain' || wanted === 'json' || wanted === 'none') return wanted
  if (where.quiet) return 'none'
  if (where.json) return 'minutes'
  return where.terminal ? 'bar' : 'plain'
}

export interface ProgressOptions {
  readonly mode: ProgressMode
  readonly output: Output
  readonly label: string
  readonly json: boolean
  readonly now: () => number
  readonly log: (line: string) => void
}

export function createProgress(options: ProgressOptions): ProgressDisplay {
  const { mode, output, label, now } = options
  const startedMs = now()
  let latest: Progress | undefined
  let points: { ms: number; done: number; stage: string }[] = []
  let drawnMs = 0
  let timer: NodeJS.Timeout | undefined

  const describe = (): string =>
    progressText({ label, latest, points, elapsedMs: now() - startedMs })
  const emit = (event: Event, asJson: boolean): void => {
    const elapsedMs = now() - startedMs
    const text =
      event === 'start' || event === 'update'
        ? describe()
        : summaryText({ label, latest, elapsedMs, succeeded: event === 'finish' })
    const line = asJson
      ? jsonLine({ type: 'progress', version: 1, event, label, elapsedMs, ...latest })
      : `akidb: ${text}\n`
    void output.write(line)
    options.log(text)
  }
  const draw = (): void => {
    drawnMs = now()
    void output.write(`\r\u001b[2K${describe().slice(0, Math.max(20, output.columns - 1))}`)
  }
  const clear = (): void => {
    if (mode === 'bar') void output.write('\r\u001b[2K')
  }
  const asJson = mode === 'json' || mode === 'minutes' || (mode === 'none' && options.json)

  return {
    start() {
      if (mode === 'bar') draw()
      if (mode === 'plain' || mode === 'json') emit('start', asJson)
      if (mode === 'none') return
      const tick = mode === 'bar' ? draw : () => emit('update', asJson)
      timer = setInterval(tick, mode === 'bar' ? 1_000 : LINE_MS).unref()
    },
    update(progress) {
      latest = progress
      points = nextPoints(points, { ms: now(), done: progress.done, stage: progress.stage })
      if (mode === 'bar' && now() - drawnMs >= REDRAW_MS) draw()
    },
    clear,
    printNow() {
      clear()
      emit('update', asJson)
    },
    finish(succeeded) {
      clearInterval(timer)
      clear()
      // Work that was refused before it began has nothing to sum up: the error says it all.
      if (!succeeded && (latest === undefined || latest.done === 0)) return
      if (mode === 'plain' || mode === 'json') emit(succeeded ? 'finish' : 'stop', asJson)
    },
  }
}

type Event = 'start' | 'update' | 'finish' | 'stop'

interface Point {
  readonly ms: number
  readonly done: number
  readonly stage: string
}

/** Keeps points of the present stage within the window, at most two a second. */
const nextPoints = (points: Point[], point: Point): Point[] => {
  const kept = points.filter(({ stage, ms }) => stage === point.stage && point.ms - ms <= WINDOW_MS)
  const last = kept.at(-1)
  if (last !== undefined && point.ms - last.ms < 500) return kept
  return [...kept.slice(-WINDOW_POINTS_MAX), point]
}

interface ProgressState {
  readonly label: string
  readonly latest: Progress | undefined
  readonly points: readonly Point[]
  readonly elapsedMs: number
}

/** `ingest docs: reading, 12 MiB of 300 MiB (4%), 3 MiB/s, 1m36s left, papers.csv`. */
export function progressText(state: ProgressState): string {
  const { label, latest, points, elapsedMs } = state
  if (latest === undefined) {
    return `${label}: started${elapsedMs < 1_000 ? '' : ` ${humanDuration(elapsedMs)} ago`}`
  }
  const amount = (value: number): string => amountText(value, latest.unit)
  const parts = isLabel(latest.stage, label) ? [] : [latest.stage]
  parts.push(
    latest.total === undefined || latest.total === 0
      ? amount(latest.done)
      : `${amount(latest.done)} of ${amount(latest.total)} (${percent(latest.done, latest.total)})`,
  )
  if (latest.rows !== undefined) parts.push(`${humanCount(latest.rows)} rows`)
  // All is read, and what follows (building the index, the commit) is not counted in bytes.
  if (latest.total !== undefined && latest.total > 0 && latest.done >= latest.total) {
    return `${label}: ${[...parts, 'finishing'].join(', ')}, ${humanDuration(elapsedMs)} so far`
  }
  const rate = ratePerSecond(points)
  if (rate !== undefined) parts.push(`${amount(rate)}/s`)
  const left = leftText(latest, rate)
  if (left !== undefined) parts.push(left)
  if (latest.item !== undefined) parts.push(escapeLine(basename(latest.item)))
  return `${label}: ${parts.join(', ')}`
}

/** `ingest docs: ingest, 12 MiB` would say it twice. */
const isLabel = (stage: string, label: string): boolean => label.split(' ').includes(stage)

const percent = (done: number, total: number): string => `${Math.floor((done / total) * 100)}%`

const ratePerSecond = (points: readonly Point[]): number | undefined => {
  const [first, last] = [points[0], points.at(-1)]
  if (first === undefined || last === undefined || last.ms - first.ms < 1_000) return undefined
  return ((last.done - first.done) * 1_000) / (last.ms - first.ms)
}

/** How long the rest takes at this rate; undefined while nobody knows. */
const leftText = (latest: Progress, rate: number | undefined): string | undefined => {
  if (rate === undefined || rate <= 0 || latest.total === undefined) return undefined
  return `${humanDuration(((latest.total - latest.done) / rate) * 1_000)} left`
}

interface Summary {
  readonly label: string
  readonly latest: Progress | undefined
  readonly elapsedMs: number
  readonly succeeded: boolean
}

/** `ingest docs: done, 300 MiB, 20,000 rows, in 1m40s`. */
function summaryText({ label, latest, elapsedMs, succeeded }: Summary): string {
  const time = humanDuration(elapsedMs)
  if (latest === undefined) return `${label}: ${succeeded ? 'done in' : 'broke off after'} ${time}`
  const at = isLabel(latest.stage, label) ? '' : ` at ${latest.stage}`
  const parts = [`${label}: ${succeeded ? 'done' : `broke off${at}`}`]
  if (latest.done > 0) parts.push(amountText(latest.done, latest.unit))
  if (latest.rows !== undefined && latest.rows > 0) parts.push(`${humanCount(latest.rows)} rows`)
  return `${parts.join(', ')}, ${succeeded ? 'in' : 'after'} ${time}`
}

const amountText = (value: number, unit: string): string =>
  unit === 'bytes' ? humanBytes(Math.round(value)) : `${humanCount(value)} ${unit}`
