// Rows, bars and tables out of what the contestants told.

import { FIELD, INSTALL, installed } from './field.mjs'
import { megabytes, ms } from './measure.mjs'

/** What `compete` gave under that name, if it finished. */
export const of = (results, name, threads = 1) =>
  results.find((each) => each.name === name && each.threads === threads && !each.failed)

export const at = (result, ef) => result?.search.searches.find((each) => each.ef === ef)

/** The search of the highest recall, the quickest of those. */
export const best = (result) =>
  result?.search.searches.toSorted((a, b) => b.recall - a.recall || a.p50Ms - b.p50Ms)[0]

/** A bar that compares; `value` undefined where one side is missing. */
export function bar({ name, needs, value, bar: limit, least = false, figure, runs }) {
  const missing = needs?.filter(([, found]) => found === undefined).map(([who]) => who) ?? []
  if (missing.length === 0)
    return { name, figure: figure(), value: value(), bar: limit, least, runs }
  return {
    name,
    figure: `${missing.join(' and ')}: ${absence(missing[0])}`,
    bar: limit,
    least,
    runs,
  }
}

const absence = (name) => {
  const contestant = FIELD.find((each) => each.name === name)
  return contestant !== undefined && !installed(contestant)
    ? `not installed (${INSTALL})`
    : 'gave no result'
}

export function buildTable(set, results) {
  return {
    title: `Build, open and size: ${set.title}`,
    head: [
      'engine',
      'version',
      'threads',
      'index',
      'with ingest and save',
      'open to first answer',
      'on disk',
      'peak building',
      'resident searching',
    ],
    rows: results.map(({ name, version, threads, build, search, failed }) =>
      failed !== undefined
        ? [name, '', threads, `failed: ${failed}`, '', '', '', '', '']
        : [
            name,
            version,
            threads,
            ms(build.indexMs ?? build.buildMs),
            ms(build.totalMs),
            ms(search.openMs),
            megabytes(build.bytes),
            megabytes(build.peakBytes),
            megabytes(search.rssBytes),
          ],
    ),
  }
}

export function searchTable(set, results) {
  const done = results.filter(({ failed }) => failed === undefined)
  return {
    title: `Searches: ${set.title}, k 10`,
    head: ['engine', 'setting', 'recall@10', 'p50', 'p99', 'one at a time', 'batch'],
    rows: done.flatMap(({ name, threads, search }) =>
      search.searches.map((each) => [
        threads === 1 ? name : `${name}, ${threads} threads`,
        each.label,
        each.recall.toFixed(4),
        ms(each.p50Ms),
        ms(each.p99Ms),
        rate(each.qps),
        each.batchQps === undefined ? '–' : rate(each.batchQps),
      ]),
    ),
  }
}

export const rate = (perSecond) => `${Math.round(perSecond).toLocaleString('en-US')}/s`

export function filterTable(set, results) {
  const done = results.filter(({ failed, threads }) => failed === undefined && threads === 1)
  const some = done.filter(({ search }) => search.filters.length > 0)
  const without = done.filter(({ search }) => search.filters.length === 0).map(({ name }) => name)
  return {
    title: `Filters: ${set.title}`,
    head: ['engine', ...set.filters.map(({ title, share }) => `${percent(share)}: ${title}`)],
    rows: [
      ...some.map(({ name, search }) => [
        name,
        ...search.filters.map(
          ({ recall, p50Ms, short }) =>
            `${recall.toFixed(3)}, ${ms(p50Ms)}${short === 0 ? '' : `, ${short} short`}`,
        ),
      ]),
      ...without.map((name) => [name, ...set.filters.map(() => 'none')]),
    ],
    note: 'Recall@10 and p50; "short": queries that gave fewer than k rows though more match.',
  }
}

export const percent = (share) => `${Number((share * 100).toPrecision(2))} %`

/** The same look for an engine in every chart. */
const styleOf = (name) => FIELD.findIndex((each) => each.name === name)

/** Points of recall against queries a second, one at a time. */
export const recallSeries = (results) =>
  results
    .filter(({ failed, threads }) => failed === undefined && threads === 1)
    .map(({ name, search }) => ({
      name,
      style: styleOf(name),
      points: search.searches
        .map(({ recall, qps }) => [recall, qps])
        .toSorted((a, b) => a[0] - b[0]),
    }))

/** Points of one figure of the filters against their share. */
export const filterSeries = (results, figure) =>
  results
    .filter(({ failed, threads, search }) => !failed && threads === 1 && search.filters.length > 0)
    .map(({ name, search }) => ({
      name,
      style: styleOf(name),
      points: search.filters.map((each) => [each.share * 100, each[figure]]),
    }))
