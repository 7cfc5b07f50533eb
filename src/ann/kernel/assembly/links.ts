// Stored links into place (their form stands in ../../graph.ts). No byte is trusted: every list is
// checked before what follows it is read.
import { Index, levelOf } from "./layout";

/** What is wrong with the bytes. */
const TOO_LONG: u32 = 1;
const PADDED: u32 = 2;
const AFTER_LAST: u32 = 3;
const TOO_MANY: u32 = 4;
const BAD_LINK: u32 = 5;

/** Where reading stands; ../layout.ts lists the same fields. */
@unmanaged
export class LinkReader {
  row: u32; level: u32;
  /** Address of the list's count, and of the next list above level 0. */
  at: u32; upper: u32;
  /** Links of the list that are still to come; −1: its count is. */
  left: i32;
  /** The least that the next link may be, and where it goes. */
  next: u32; place: u32;
  /** The number at fault, where something is wrong. */
  value: u32;
  wrong: u32;
}

/** Length of the LEB128 number that begins a word, 1 to 3 bytes; more where it is longer. */
function lengthOf(word: u32): u32 {
  return (ctz<u32>(~word & 0x80808080) >> 3) + 1;
}

/** Its value, without what follows it. */
function valueOf(word: u32, length: u32): u32 {
  const bits = (word & 0x7f) | ((word >> 1) & 0x3f80) | ((word >> 2) & 0x1fc000);
  return bits & (((<u32>1) << (7 * length)) - 1);
}

function startList(x: Index, r: LinkReader, count: u32): u32 {
  if (r.row >= x.rows) return AFTER_LAST;
  if (count > (r.level ? x.m : x.m0)) return TOO_MANY;
  store<u32>(r.at, count);
  r.left = <i32>count;
  r.next = 0;
  r.place = r.at + 4;
  return 0;
}

/** To the next list: of the same row one level up, else of the next row. */
function endList(x: Index, r: LinkReader): void {
  r.left = -1;
  if (r.level < levelOf(x, r.row)) {
    r.level++;
    r.at = r.upper;
    r.upper += (x.m + 1) << 2;
  } else {
    r.level = 0;
    r.row++;
    r.at = x.links0 + r.row * ((x.m0 + 1) << 2);
  }
}

/**
 * Reads the numbers that begin in [from, until) and returns the address behind the last of them;
 * three bytes more can be read there. Stops at the first that is wrong and says so in `wrong`.
 */
export function readLinks(x: Index, r: LinkReader, from: u32, until: u32): u32 {
  const rows = x.rows;
  while (from < until) {
    const word = load<u32>(from), length = lengthOf(word), value = valueOf(word, length);
    if (length > 3 || (length > 1 && value >> (7 * (length - 1)) == 0)) {
      r.wrong = length > 3 ? TOO_LONG : PADDED;
      return from;
    }
    from += length;
    if (r.left < 0) {
      r.wrong = startList(x, r, value);
      r.value = value;
      if (r.wrong) return from;
    } else {
      const id = r.next + value, row = r.row, level = r.level;
      if (id >= rows || id == row || (level && levelOf(x, id) < level)) {
        r.value = id;
        r.wrong = BAD_LINK;
        return from;
      }
      store<u32>(r.place, id);
      r.place += 4;
      r.next = id + 1;
      r.left--;
    }
    if (r.left == 0) endList(x, r);
  }
  return from;
}
