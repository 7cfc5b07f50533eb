import type { Bitset } from '../core/bitset.ts'
import type { Filter } from '../search/filter.ts'
import type { ViewSegment } from './view.ts'
import { payloadObject } from './view.ts'
