import { rows } from '../describe.ts'
import { globalOptions } from '../global-options.ts'

/** Every global option with its meaning. */
export const optionsText =
  (): string => `Options that every command takes, before or after its name.

${rows(
  'Options',
  globalOptions().map((option) => [option.flags, option.description]),
)}

Durations are written 500ms, 90s, 10m, 12h, 7d, 7y; sizes 64MiB, 4.7GB; times as ISO 8601 with a
zone. Secrets are never the value of an option: see akidb help keys.
`
