// Memory is slow where rows lie far apart: the first byte of each waits for an address translation
// and a cache line, but a core can wait for many at once. Reading one word of every line before the
// rows are summed makes those waits overlap. WebAssembly has no prefetch; the words are dropped.
import { F32, Index, INT8, links } from "./layout";

const LINE: u32 = 64;

/** Brings the listed rows near, in the form that distances are to be taken from. */
export function fetchRows(x: Index, form: u32, ids: u32, count: u32): void {
  const isFloat = form == F32;
  if (!isFloat && form != INT8) return;
  const base = isFloat ? x.vectors : x.codes, bytes = isFloat ? x.stride << 2 : x.stride;
  const idsEnd = ids + (count << 2);
  // The first line of every row before the second of any: translations are the longer wait.
  for (let at = ids; at < idsEnd; at += 4) load<u32>(base + load<u32>(at) * bytes);
  for (let at = ids; at < idsEnd; at += 4) {
    let line = base + load<u32>(at) * bytes;
    const end = line + bytes;
    for (; line + 4 * LINE <= end; line += 4 * LINE) {
      load<u32>(line);
      load<u32>(line, 64);
      load<u32>(line, 128);
      load<u32>(line, 192);
    }
    for (; line < end; line += LINE) load<u32>(line);
  }
}

/** Rows of this many bytes and more are not guessed in time (measured: 384 are, 512 are not). */
const GUESSED_BYTES: u32 = 512;

/** The same for rows that follow each other. */
export function fetchRun(x: Index, form: u32, ids: u32, count: u32): void {
  if ((form == F32 ? x.stride << 2 : x.stride) >= GUESSED_BYTES) fetchRows(x, form, ids, count);
}

/** Brings the links of a row near. */
export function fetchLinks(x: Index, id: u32): void {
  const list = links(x, id, 0);
  load<u32>(list);
  load<u32>(list + (x.m0 << 1));
  load<u32>(list + (x.m0 << 2));
}
