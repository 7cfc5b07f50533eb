import { INDEX_TYPES, type IndexParameters, QUANTIZATIONS } from '../core/schema.ts'
import type { Settings } from './settings.ts'

/** The index parameters that a flag, the environment or a configuration file sets. */
export function indexParameters(settings: Settings): Partial<IndexParameters> {
  const type = INDEX_TYPES.find((name) => name === settings.text('index.type'))
  const [m, efConstruction] = [settings.number('index.m'), settings.number('index.efConstruction')]
  const form = settings.text('index.quantization')
  const quantization = QUANTIZATIONS.find((name) => name === form)
  return {
    ...(type === undefined ? {} : { type }),
    ...(m === undefined ? {} : { m }),
    ...(efConstruction === undefined ? {} : { efConstruction }),
    ...(quantization === undefined ? {} : { quantization }),
  }
}
