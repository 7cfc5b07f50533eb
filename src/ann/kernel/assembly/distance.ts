// Kernel distances: lower is nearer, never NaN. cosine: the negated cosine; dot: the negated dot
// product (over the query's power of two); l2: the squared distance.
import { binaryDistances4, signDistances4 } from "./binary";
import { BINARY, Context, COSINE, DOT, F32, Index, INT8, L2, PQ, Query } from "./layout";
import { pqDistances4 } from "./pq";
import { dot4F32, dot4Int8, dot4Int8Rows, dotF64, gather, squared4F32, squaredF64 } from "./simd";

/** One distance in float64, for components whose squares do not fit float32. */
function wideDistance(x: Index, q: Query, id: u32): f32 {
  const stride = x.stride, row = x.vectors + id * (stride << 2);
  if (x.metric == L2) return <f32>(squaredF64(q.values, row, stride) * q.wideScale);
  const dot = dotF64(q.values, row, stride);
  if (x.metric == DOT) return <f32>(-dot * q.wideScale);
  const square = dotF64(row, row, stride);
  return square == 0 ? 0 : max<f32>(<f32>(-dot / Math.sqrt(square)), -1);
}

function wide4(x: Index, q: Query, a: u32, b: u32, c: u32, d: u32): v128 {
  let v = f32x4.splat(wideDistance(x, q, a));
  v = f32x4.replace_lane(v, 1, wideDistance(x, q, b));
  v = f32x4.replace_lane(v, 2, wideDistance(x, q, c));
  return f32x4.replace_lane(v, 3, wideDistance(x, q, d));
}

function f32Distances4(x: Index, q: Query, a: u32, b: u32, c: u32, d: u32): v128 {
  if (q.wide) return wide4(x, q, a, b, c, d);
  const stride = x.stride, rowBytes = stride << 2, base = x.vectors;
  const pa = base + a * rowBytes, pb = base + b * rowBytes;
  const pc = base + c * rowBytes, pd = base + d * rowBytes;
  if (x.metric == L2) return squared4F32(q.values, pa, pb, pc, pd, stride);
  const negated = f32x4.neg(dot4F32(q.values, pa, pb, pc, pd, stride));
  if (x.metric != COSINE) return negated;
  // Rounding may carry a cosine just over 1; held there, equal directions tie and the lower row
  // wins.
  return f32x4.max(f32x4.mul(negated, gather(x.factors, a, b, c, d)), f32x4.splat(-1));
}

function int8Distances4(x: Index, q: Query, a: u32, b: u32, c: u32, d: u32): v128 {
  const stride = x.stride, base = x.codes;
  const dots = dot4Int8(q.codes,
    base + a * stride, base + b * stride, base + c * stride, base + d * stride, stride);
  const scaled = f32x4.mul(
    f32x4.mul(f32x4.splat(q.factor), gather(x.scales, a, b, c, d)), f32x4.convert_i32x4_s(dots));
  if (x.metric != L2) return scaled;
  const biases = f32x4.mul(f32x4.splat(q.biasFactor), gather(x.biases, a, b, c, d));
  return f32x4.add(f32x4.add(f32x4.splat(q.offset), biases), scaled);
}

/** The same from row `id` itself: the bits that rowAsQuery and int8Distances4 would give. */
export function int8RowDistances4(x: Index, id: u32, a: u32, b: u32, c: u32, d: u32): v128 {
  const stride = x.stride, base = x.codes, scale = load<f32>(x.scales + (id << 2));
  const dots = dot4Int8Rows(base + id * stride,
    base + a * stride, base + b * stride, base + c * stride, base + d * stride, stride);
  const factor: f32 = x.metric == L2 ? -2 * scale : -scale;
  const scaled = f32x4.mul(
    f32x4.mul(f32x4.splat(factor), gather(x.scales, a, b, c, d)), f32x4.convert_i32x4_s(dots));
  if (x.metric != L2) return scaled;
  const biases = gather(x.biases, a, b, c, d);
  return f32x4.add(f32x4.add(f32x4.splat(load<f32>(x.biases + (id << 2))), biases), scaled);
}

/** Distances of rows a, b, c and d from a query, in the stored form asked for. */
export function distances4(x: Index, q: Query, form: u32, a: u32, b: u32, c: u32, d: u32): v128 {
  if (form == INT8) return int8Distances4(x, q, a, b, c, d);
  if (form == F32) return f32Distances4(x, q, a, b, c, d);
  if (form == BINARY) return binaryDistances4(x, q, a, b, c, d);
  if (form == PQ) return pqDistances4(x, q, a, b, c, d);
  return signDistances4(x, q, a, b, c, d);
}

/** Writes the distance of each listed row to `out`, which has room for a multiple of four. */
export function distances(
  x: Index, c: Context, q: Query, ids: u32, count: u32, out: u32, form: u32,
): void {
  c.evaluated += count;
  for (let i: u32 = 0; i < count; i += 4, ids += 16, out += 16) {
    const a = load<u32>(ids);
    const b = i + 1 < count ? load<u32>(ids, 4) : a;
    const e = i + 2 < count ? load<u32>(ids, 8) : a;
    const d = i + 3 < count ? load<u32>(ids, 12) : a;
    v128.store(out, distances4(x, q, form, a, b, e, d));
  }
}
