// Getting stored rows ready: norms, the int8 form, and a row in the form of a query.
import { Context, COSINE, F32, Index, L2, Query } from "./layout";
import { dotF64 } from "./simd";

/** Takes the norms of rows [from, to); returns the first row that is not finite, or `to`. */
export function measureRows(x: Index, c: Context, from: u32, to: u32): u32 {
  const stride = x.stride;
  for (let row = from; row < to; row++) {
    const values = x.vectors + row * (stride << 2), square = dotF64(values, values, stride);
    if (!(square <= f64.MAX_VALUE)) return row;
    const norm = Math.sqrt(square);
    if (norm > 0) {
      c.normMin = min<f64>(c.normMin, norm);
      c.normMax = max<f64>(c.normMax, norm);
    }
    store<f32>(x.factors + (row << 2), norm > 0 ? <f32>min<f64>(1 / norm, <f64>f32.MAX_VALUE) : 0);
  }
  return to;
}

/**
 * Sets the centre to the mean of all rows (float64 sums in row order) and returns the largest norm
 * about it.
 */
export function centreRows(x: Index): f64 {
  const stride = x.stride, rows = x.rows, sums = x.sums, centre = x.centre;
  memory.fill(sums, 0, stride << 3);
  for (let row: u32 = 0; row < rows; row++) {
    const values = x.vectors + row * (stride << 2);
    for (let i: u32 = 0; i < stride; i++) {
      const at = sums + (i << 3);
      store<f64>(at, load<f64>(at) + <f64>load<f32>(values + (i << 2)));
    }
  }
  for (let i: u32 = 0; i < stride; i++) {
    store<f32>(centre + (i << 2), <f32>(load<f64>(sums + (i << 3)) / <f64>rows));
  }
  let largest: f64 = 0;
  for (let row: u32 = 0; row < rows; row++) {
    const values = x.vectors + row * (stride << 2);
    let square: f64 = 0;
    for (let i: u32 = 0; i < stride; i++) {
      const v = <f64>load<f32>(values + (i << 2)) - <f64>load<f32>(centre + (i << 2));
      square += v * v;
    }
    largest = max<f64>(largest, square);
  }
  return Math.sqrt(largest);
}

/**
 * Component i of a vector as it is coded: about the centre for l2. The centre is zero for other
 * metrics.
 */
export function coded(x: Index, values: u32, i: u32): f64 {
  return <f64>load<f32>(values + (i << 2)) - <f64>load<f32>(x.centre + (i << 2));
}

/**
 * Codes rows [from, to) as int8, −127…127 over each row's largest component, with one factor a row.
 * For cosine and dot the factor makes the coded row's projection on the row exact, which removes
 * the first-order error for near neighbours.
 */
export function quantiseRows(x: Index, from: u32, to: u32): void {
  const dimension = x.dimension, stride = x.stride;
  for (let row = from; row < to; row++) {
    const values = x.vectors + row * (stride << 2), out = x.codes + row * stride;
    let largest: f64 = 0;
    for (let i: u32 = 0; i < dimension; i++) {
      largest = max<f64>(largest, abs<f64>(coded(x, values, i)));
    }
    const scale: f64 = largest > 0 ? 127 / largest : 0;
    let square: f64 = 0, dot: f64 = 0;
    for (let i: u32 = 0; i < dimension; i++) {
      const v = coded(x, values, i), code = nearest<f64>(v * scale);
      store<i8>(out + i, <i8><i32>code);
      square += v * v;
      dot += v * code;
    }
    store<f32>(x.scales + (row << 2), rowScale(x, largest, square, dot));
  }
}

function rowScale(x: Index, largest: f64, square: f64, dot: f64): f32 {
  if (largest == 0) return 0;
  if (x.metric == L2) return <f32>(largest * x.unit / 127);
  if (x.metric == COSINE) return <f32>(Math.sqrt(square) / dot);
  return <f32>(square / dot * x.unit);
}

/** Squared norms of the coded rows [from, to), for l2. */
export function biasRows(x: Index, from: u32, to: u32): void {
  const stride = x.stride;
  for (let row = from; row < to; row++) {
    const codes = x.codes + row * stride, scale = <f64>load<f32>(x.scales + (row << 2));
    let sum = i32x4.splat(0);
    for (let i: u32 = 0; i < stride; i += 8) {
      const v = v128.load_ext<i8>(codes + i);
      sum = i32x4.add(sum, i32x4.dot_i16x8_s(v, v));
    }
    const total = i32x4.extract_lane(sum, 0) + i32x4.extract_lane(sum, 1)
      + i32x4.extract_lane(sum, 2) + i32x4.extract_lane(sum, 3);
    store<f32>(x.biases + (row << 2), <f32>(<f64>total * scale * scale));
  }
}

/** Makes a stored row the query, in the form of the walk. Only narrow rows are walked as f32. */
export function rowAsQuery(x: Index, q: Query, id: u32): void {
  const stride = x.stride;
  q.wide = 0;
  if (x.walkForm == F32) {
    const values = x.vectors + id * (stride << 2);
    const factor = f32x4.splat(x.metric == COSINE ? load<f32>(x.factors + (id << 2)) : 1);
    for (let i: u32 = 0; i < stride << 2; i += 16) {
      v128.store(q.values + i, f32x4.mul(v128.load(values + i), factor));
    }
    return;
  }
  const codes = x.codes + id * stride, scale = load<f32>(x.scales + (id << 2));
  for (let i: u32 = 0; i < stride; i += 8) {
    v128.store(q.codes + (i << 1), v128.load_ext<i8>(codes + i));
  }
  if (x.metric == L2) {
    q.factor = -2 * scale;
    q.offset = load<f32>(x.biases + (id << 2));
    q.biasFactor = 1;
  } else {
    q.factor = -scale;
  }
}
