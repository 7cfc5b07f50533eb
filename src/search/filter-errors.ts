import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'

type FilterLimit = 'filterDepthMax' | 'filterConditionsMax' | 'filterPolygonPointsMax'

/** USAGE: what a filter says is none. */
export const wrong = (what: string, value: unknown): AkidbError => {
  const shown = value instanceof Map ? [...value.keys()].join(', ') : String(value)
  return new AkidbError('USAGE', `not a filter: ${what} (found ${shown.slice(0, 80)})`, {
    hint: 'See akidb help filters.',
  })
}

/** USAGE: a condition of Qdrant's that there is not. */
export const absent = (name: string): AkidbError =>
  new AkidbError('USAGE', `there is no filter condition ${name}`, {
    hint: 'See akidb help filters.',
    details: { condition: name },
  })

export const overLimit = (name: FilterLimit): AkidbError =>
  new AkidbError('LIMIT', `the filter is over ${name} (${limits[name]})`, {
    details: { limit: name, max: limits[name] },
  })
