/**
 * The kernel's structs as TypeScript sees them: the same fields in the same order as
 * assembly/layout.ts. Float64 fields come first, so that every field lies on its own alignment
 * without gaps.
 */
const INDEX_F64 = ['normMax', 'unit'] as const
const INDEX_U32 = [
  ...['rows', 'dimension', 'stride', 'metric', 'walkForm', 'wide', 'queryMax'],
  ...['m', 'm0', 'efConstruction', 'maxBatch', 'entry', 'maxLevel', 'built'],
  ...['vectors', 'factors', 'codes', 'scales', 'biases', 'centre', 'sums'],
  ...['bits', 'bitStride', 'bitScales', 'bitBiases', 'mean'],
  ...['pieces', 'pieceStride', 'subspaces', 'centroids', 'halves'],
  ...['training', 'sample', 'sampleRows'],
  ...['links0', 'levels', 'upperAt', 'upper', 'distances0', 'distancesUpper', 'staged'],
  ...['next', 'waiting', 'generation', 'spare'],
] as const
const QUERY_F64 = ['unscale', 'wideScale'] as const
const QUERY_U32 = [
  ...['values', 'codes', 'planes', 'table', 'wide', 'sum'],
  ...['factor', 'offset', 'biasFactor', 'signFactor'],
] as const
const CONTEXT_F64 = ['normMin', 'normMax'] as const
const CONTEXT_U32 = [
  ...['query', 'row', 'raw', 'visited', 'tag', 'candidates', 'top', 'topCount'],
  ...['ids', 'distances', 'outIds', 'outDistances', 'selected', 'batchKeys'],
  ...['evaluated', 'walked', 'budget', 'topMax', 'scratch', 'scratchFactors'],
  ...['steps', 'passing', 'passingLeast', 'isLost'],
] as const

const LINK_READER_U32 = [
  ...['row', 'level', 'at', 'upper', 'left', 'next', 'place', 'value', 'wrong'],
] as const

type Offsets = Readonly<Record<string, number>>

const offsetsOf = (f64: readonly string[], u32: readonly string[]): Offsets =>
  Object.fromEntries([
    ...f64.map((name, i) => [name, i * 8]),
    ...u32.map((name, i) => [name, f64.length * 8 + i * 4]),
  ])

/** AssemblyScript rounds a struct's size only to its fields' ends, not up to its alignment. */
const sizeOf = (f64: readonly string[], u32: readonly string[]): number =>
  f64.length * 8 + u32.length * 4

/** Byte offsets of the fields of one segment's header. */
export const INDEX = offsetsOf(INDEX_F64, INDEX_U32)
/** Byte offsets of the fields of a query. */
export const QUERY = offsetsOf(QUERY_F64, QUERY_U32)
/** Byte offsets of the fields of one worker's scratch space. */
export const CONTEXT = offsetsOf(CONTEXT_F64, CONTEXT_U32)

/** Byte offsets of the fields of a reader of stored links. */
export const LINK_READER = offsetsOf([], LINK_READER_U32)

/** Sizes in bytes. */
export const INDEX_BYTES = sizeOf(INDEX_F64, INDEX_U32)
export const QUERY_BYTES = sizeOf(QUERY_F64, QUERY_U32)
export const CONTEXT_BYTES = sizeOf(CONTEXT_F64, CONTEXT_U32)
export const LINK_READER_BYTES = sizeOf([], LINK_READER_U32)

/** Stored forms of the rows. */
export const FORM_F32 = 0
export const FORM_INT8 = 1
export const FORM_BINARY = 2
export const FORM_PQ = 3
/** Bits of a query's integers in the binary form. */
export const PLANES = 4
/** Components of a subspace of product quantisation, and centroids of each. */
export const PIECE = 8
export const CENTROIDS = 256
/** Rows are padded with zero bits to a multiple of this many bytes. */
export const BIT_STRIDE_UNIT = 16
/** Rows that are ranked again at once where they come from outside. */
export const SCRATCH_ROWS = 64
/** Levels of a graph: 0 to 15. */
export const LEVELS_MAX = 16
/** Rows planned together by a build. */
export const BATCH_ROWS_MAX = 256
/** Rows are padded with zeros to a multiple of this many components. */
export const STRIDE_UNIT = 16
