import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { limits } from '../../src/core/limits.ts'
import { ROOT } from './sources.ts'

const KIB = 1024
const UNITS = [
  ['GiB', KIB ** 3],
  ['MiB', KIB ** 2],
  ['KiB', KIB],
] as const
const TIMES = [
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
] as const

/**
 * docs/limits.md, made of the table in src/core/limits.ts and the comment above each of its
 * lines.
 */
export function limitsPage(): string {
  const source = readFileSync(join(ROOT, 'src/core/limits.ts'), 'utf8')
  const rows = Object.entries(limits).map(([name, value]) => {
    const comment = new RegExp(String.raw`/\*\*([^/]*(?:/(?!\*)[^/]*)*?)\*/\s*${name}:`).exec(
      source,
    )
    const what = (comment?.[1] ?? '').replaceAll(/\s*\n\s*\*\s*/g, ' ').trim()
    return `| \`${name}\` | ${valueText(name, value)} | ${what.replaceAll('|', '\\|')} |`
  })
  return [
    '# Limits',
    '',
    'Made from `src/core/limits.ts`. A test compares the two, and',
    '`npx vitest run test/docs.test.ts -u` writes this page anew. Going over a limit ends',
    'with exit 27, code `LIMIT`, and the message names the limit. The last',
    'part of a name is its unit: bytes, milliseconds (`Ms`) or a count.',
    '',
    '| Limit | Value | Of what |',
    '|---|---|---|',
    ...rows,
    '',
  ].join('\n')
}

function valueText(name: string, value: number): string {
  const digits = value.toLocaleString('en-US')
  const units = /Ms$/.test(name) ? TIMES : /Bytes|reserve/.test(name) ? UNITS : []
  const unit = units.find(([, size]) => value >= size && value % size === 0)
  return unit === undefined ? digits : `${digits} (${value / unit[1]} ${unit[0]})`
}
