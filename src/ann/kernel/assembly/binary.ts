// The binary form: one bit a component, the sign of the row about the segment's mean. A row o (less
// the mean) is taken for scale · signs, with the scale that makes its projection on itself exact:
// |o|² / Σ|o_i|, the estimator of RaBitQ (Gao & Long, arXiv:2405.12497, §3) without its rotation.
// Queries stay small integers, so that only the rows' own rounding costs accuracy.
import { Context, COSINE, Index, L2, PLANES, Query, rowQueryOf } from "./layout";
import { normaliseRow } from "./normal";
import { gather } from "./simd";

/** Sets the mean of the normalised rows (float64 sums in row order); zero for l2. */
export function meanRows(x: Index, c: Context): void {
  const stride = x.stride, rows = x.rows, sums = x.sums, mean = x.mean;
  memory.fill(mean, 0, stride << 2);
  if (x.metric == L2 || rows == 0) return;
  memory.fill(sums, 0, stride << 3);
  const values = rowQueryOf(c).values;
  for (let row: u32 = 0; row < rows; row++) {
    normaliseRow(x, row, values);
    for (let i: u32 = 0; i < stride; i++) {
      const at = sums + (i << 3);
      store<f64>(at, load<f64>(at) + <f64>load<f32>(values + (i << 2)));
    }
  }
  for (let i: u32 = 0; i < stride; i++) {
    store<f32>(mean + (i << 2), <f32>(load<f64>(sums + (i << 3)) / <f64>rows));
  }
}

/** Codes rows [from, to) about the mean: bits, scales and biases. */
export function binariseRows(x: Index, c: Context, from: u32, to: u32): void {
  const dimension = x.dimension, values = rowQueryOf(c).values, mean = x.mean;
  for (let row = from; row < to; row++) {
    const out = x.bits + row * x.bitStride;
    memory.fill(out, 0, x.bitStride);
    normaliseRow(x, row, values);
    let square: f64 = 0, total: f64 = 0, alongMean: f64 = 0;
    for (let i: u32 = 0; i < dimension; i++) {
      const centre = <f64>load<f32>(mean + (i << 2));
      const v = <f64>load<f32>(values + (i << 2)) - centre;
      square += v * v;
      total += abs<f64>(v);
      alongMean += v * centre;
      if (v >= 0) {
        const at = out + (i >> 3);
        store<u8>(at, load<u8>(at) | (<u8>(<u32>1 << (i & 7))));
      }
    }
    store<f32>(x.bitScales + (row << 2), total > 0 ? <f32>(square / total) : 0);
    store<f32>(x.bitBiases + (row << 2), <f32>(x.metric == L2 ? square : -alongMean));
  }
}

/**
 * Fills in the planes of a query and its factors. For inner products the query's part along the
 * mean is taken out: the rows' own parts along it are known exactly.
 */
export function planeQuery(x: Index, q: Query, raw: u32): void {
  const dimension = x.dimension, values = q.values;
  let along: f64 = 0, shrink: f64 = 1;
  if (x.metric == L2) {
    let square: f64 = 0;
    for (let i: u32 = 0; i < dimension; i++) {
      const v = component(x, raw, i);
      square += v * v;
    }
    shrink = 1 / max<f64>(1, Math.sqrt(square));
    q.offset = <f32>(square * shrink);
    q.biasFactor = <f32>shrink;
  } else {
    along = shareOfMean(x, values);
    q.offset = 0;
    q.biasFactor = <f32>along;
  }
  const source = x.metric == L2 ? raw : values;
  let largest: f64 = 0, total: f64 = 0;
  for (let i: u32 = 0; i < dimension; i++) {
    const v = abs<f64>(centred(x, source, i, along));
    largest = max<f64>(largest, v);
    total += v;
  }
  const levels: f64 = <f64>((1 << (PLANES - 1)) - 1), scale = largest > 0 ? levels / largest : 0;
  storePlanes(x, q, source, along, scale);
  const weight: f64 = (x.metric == L2 ? -2 : -1) * shrink;
  q.factor = <f32>(weight * largest / levels);
  q.signFactor = <f32>(weight * total / <f64>dimension);
}

/** <q, mean> / <mean, mean>. */
function shareOfMean(x: Index, values: u32): f64 {
  const dimension = x.dimension, mean = x.mean;
  let dot: f64 = 0, square: f64 = 0;
  for (let i: u32 = 0; i < dimension; i++) {
    const centre = <f64>load<f32>(mean + (i << 2));
    dot += centre * <f64>load<f32>(values + (i << 2));
    square += centre * centre;
  }
  return square > 0 ? dot / square : 0;
}

/** Component of an l2 vector in the segment's units. */
function component(x: Index, values: u32, i: u32): f64 {
  return (<f64>load<f32>(values + (i << 2)) - <f64>load<f32>(x.centre + (i << 2))) * x.unit;
}

function centred(x: Index, values: u32, i: u32, along: f64): f64 {
  if (x.metric == L2) return component(x, values, i);
  return <f64>load<f32>(values + (i << 2)) - along * <f64>load<f32>(x.mean + (i << 2));
}

function storePlanes(x: Index, q: Query, values: u32, along: f64, scale: f64): void {
  const dimension = x.dimension, bitStride = x.bitStride, planes = q.planes;
  memory.fill(planes, 0, bitStride * PLANES);
  let sum: i32 = 0;
  for (let i: u32 = 0; i < dimension; i++) {
    const code = <i32>nearest<f64>(centred(x, values, i, along) * scale);
    sum += code;
    for (let plane: u32 = 0; plane < PLANES; plane++) {
      const at = planes + plane * bitStride + (i >> 3);
      store<u8>(at, load<u8>(at) | (<u8>(((<u32>code >> plane) & 1) << (i & 7))));
    }
  }
  q.sum = sum;
}

/** Sum of 16 counts of at most 255. */
function total(counts: v128): u32 {
  const pairs = i16x8.extadd_pairwise_i8x16_u(counts), fours = i32x4.extadd_pairwise_i16x8_u(pairs);
  return i32x4.extract_lane(fours, 0) + i32x4.extract_lane(fours, 1)
    + i32x4.extract_lane(fours, 2) + i32x4.extract_lane(fours, 3);
}

/** Vectors whose byte counts fit a byte: 31 · 8 ≤ 255. */
const BLOCK: u32 = 31 * 16;

/** Σ ±q_i over the row's signs, for a query of small integers. */
function planeDot(x: Index, q: Query, row: u32): i32 {
  const stride = x.bitStride;
  let p0 = q.planes, sum: i32 = 0;
  for (let left = stride; left > 0; ) {
    const part = min<u32>(left, BLOCK), end = row + part;
    let c0 = i8x16.splat(0), c1 = c0, c2 = c0, c3 = c0;
    for (; row < end; row += 16, p0 += 16) {
      const bits = v128.load(row), p2 = p0 + (stride << 1);
      c0 = i8x16.add(c0, i8x16.popcnt(v128.and(bits, v128.load(p0))));
      c1 = i8x16.add(c1, i8x16.popcnt(v128.and(bits, v128.load(p0 + stride))));
      c2 = i8x16.add(c2, i8x16.popcnt(v128.and(bits, v128.load(p2))));
      c3 = i8x16.add(c3, i8x16.popcnt(v128.and(bits, v128.load(p2 + stride))));
    }
    sum += total(c0) + (total(c1) << 1) + (total(c2) << 2) - (total(c3) << 3);
    left -= part;
  }
  return (sum << 1) - q.sum;
}

/** How many signs agree, less how many do not. */
function signDot(x: Index, q: Query, row: u32): i32 {
  const stride = x.bitStride;
  let plane = q.planes + (PLANES - 1) * stride, sum: i32 = 0;
  for (let left = stride; left > 0; ) {
    const part = min<u32>(left, BLOCK), end = row + part;
    let counts = i8x16.splat(0);
    for (; row < end; row += 16, plane += 16) {
      counts = i8x16.add(counts, i8x16.popcnt(v128.xor(v128.load(row), v128.load(plane))));
    }
    sum += total(counts);
    left -= part;
  }
  return (sum << 1) - <i32>x.dimension;
}

function scaled(x: Index, q: Query, dots: v128, factor: f32, ids: v128): v128 {
  const a = i32x4.extract_lane(ids, 0), b = i32x4.extract_lane(ids, 1);
  const c = i32x4.extract_lane(ids, 2), d = i32x4.extract_lane(ids, 3);
  const products = f32x4.mul(
    f32x4.mul(f32x4.splat(factor), gather(x.bitScales, a, b, c, d)), f32x4.convert_i32x4_s(dots));
  const biases = f32x4.mul(f32x4.splat(q.biasFactor), gather(x.bitBiases, a, b, c, d));
  return f32x4.add(f32x4.add(f32x4.splat(q.offset), biases), products);
}

function four(a: i32, b: i32, c: i32, d: i32): v128 {
  const v = i32x4.replace_lane(i32x4.splat(a), 1, b);
  return i32x4.replace_lane(i32x4.replace_lane(v, 2, c), 3, d);
}

export function binaryDistances4(x: Index, q: Query, a: u32, b: u32, c: u32, d: u32): v128 {
  const stride = x.bitStride, base = x.bits;
  const dots = four(planeDot(x, q, base + a * stride), planeDot(x, q, base + b * stride),
    planeDot(x, q, base + c * stride), planeDot(x, q, base + d * stride));
  return scaled(x, q, dots, q.factor, four(a, b, c, d));
}

export function signDistances4(x: Index, q: Query, a: u32, b: u32, c: u32, d: u32): v128 {
  const stride = x.bitStride, base = x.bits;
  const dots = four(signDot(x, q, base + a * stride), signDot(x, q, base + b * stride),
    signDot(x, q, base + c * stride), signDot(x, q, base + d * stride));
  return scaled(x, q, dots, q.signFactor, four(a, b, c, d));
}
