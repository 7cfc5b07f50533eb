// Scan of all rows, or of the rows whose bit is set, 64 rows at a time.
import { distances } from "./distance";
import { fetchRows, fetchRun } from "./fetch";
import { keyAt, makeKey, offer } from "./heap";
import { BINARY, Context, Index, queryOf, SIGN } from "./layout";
import { emit, prepareQuery } from "./query";

const CHUNK: u32 = 64;

function score(x: Index, c: Context, count: u32, limit: u32, form: u32): void {
  const ids = c.ids, dists = c.distances;
  distances(x, c, queryOf(c), ids, count, dists, form);
  for (let i: u32 = 0; i < count; i++) {
    offer(c, makeKey(load<f32>(dists + (i << 2)), load<u32>(ids + (i << 2))), limit);
  }
}

function scanAll(x: Index, c: Context, limit: u32, form: u32): void {
  const ids = c.ids, rows = x.rows;
  for (let row: u32 = 0; row < rows; row += CHUNK) {
    const count = min<u32>(rows - row, CHUNK);
    for (let i: u32 = 0; i < count; i++) store<u32>(ids + (i << 2), row + i);
    fetchRun(x, form, ids, count);
    score(x, c, count, limit, form);
  }
}

function scanListed(x: Index, c: Context, limit: u32, filter: u32, form: u32): void {
  const ids = c.ids, words = (x.rows + 31) >> 5;
  let count: u32 = 0;
  for (let word: u32 = 0; word < words; word++) {
    for (let bits = load<u32>(filter + (word << 2)); bits; bits &= bits - 1) {
      store<u32>(ids + (count << 2), word * 32 + ctz<u32>(bits));
      if (++count == CHUNK) {
        fetchRows(x, form, ids, count);
        score(x, c, count, limit, form);
        count = 0;
      }
    }
  }
  fetchRows(x, form, ids, count);
  score(x, c, count, limit, form);
}

function scanForm(x: Index, c: Context, limit: u32, filter: u32, form: u32): void {
  c.topCount = 0;
  if (filter) scanListed(x, c, limit, filter, form);
  else scanAll(x, c, limit, form);
}

/** Rows that the signs alone let through to the full binary distance, over those wanted. */
const SIGN_PASS: u32 = 16;

/** The signs choose first, which reads a quarter of what the full distance does. */
function scanBits(x: Index, c: Context, limit: u32, filter: u32): void {
  const first = min<u32>(limit * SIGN_PASS, c.topMax), ids = c.ids;
  scanForm(x, c, first, filter, SIGN);
  const count = c.topCount, dists = c.distances;
  for (let i: u32 = 0; i < count; i++) store<u32>(ids + (i << 2), <u32>keyAt(c.top, i));
  distances(x, c, queryOf(c), ids, count, dists, BINARY);
  c.topCount = 0;
  for (let i: u32 = 0; i < count; i++) {
    offer(c, makeKey(load<f32>(dists + (i << 2)), load<u32>(ids + (i << 2))), limit);
  }
}

/** Nearest k by scanning; where `over` is not 0, that many are kept and ranked again in f32. */
export function scanRows(x: Index, c: Context, k: u32, over: u32, filter: u32, form: u32): u32 {
  prepareQuery(x, c, form);
  const limit = min<u32>(max<u32>(k, over), c.topMax);
  if (form == BINARY) scanBits(x, c, limit, filter);
  else scanForm(x, c, limit, filter, form);
  return emit(x, c, k, over);
}
