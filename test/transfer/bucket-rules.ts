import type { RuleChange } from '../../src/index.ts'

/** A file of rules. */
export const lifecycle = (...Rules: readonly object[]) => ({
  name: 'rules.json',
  text: JSON.stringify({ Rules }),
})
export const rule = (ID: string, more: object = {}) => ({
  ...{ ID, Status: 'Enabled', Filter: { Prefix: 'site-a/' } },
  ...{ NoncurrentVersionExpiration: { NoncurrentDays: 9 } },
  ...more,
})
export const words = (changes: readonly RuleChange[]) =>
  changes.map(({ id, change }) => `${id} ${change}`)
