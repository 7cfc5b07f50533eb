/** A rectangle of longitudes and latitudes, in degrees; none crosses the antimeridian. */
export interface GeoRectangle {
  readonly west: number
  readonly east: number
  readonly south: number
  readonly north: number
}

/** What an area tells of a rectangle: all of it is inside, all outside, or neither is known. */
export type Side = 'inside' | 'outside' | 'unknown'

/** An area, made ready for many points. */
export interface AreaTest {
  /** Whether the area holds a point: longitude and latitude in degrees. */
  contains(lon: number, lat: number): boolean
  /** Never wrong where it says inside or outside. */
  side(rectangle: GeoRectangle): Side
}

/**
 * Levels of the grid: at level l it has 2^l × 2^l cells; a code is 2 bits a level, the quarter in
 * which the point lies (Morton order), the coarsest first.
 */
export const CELL_LEVELS = 16

const CELLS = 2 ** CELL_LEVELS

/** The code of the finest cell of a point, 32 bits: longitude in the even bits. */
export function cellCode(lon: number, lat: number): number {
  const x = Math.min(CELLS - 1, Math.max(0, Math.floor((lon + 180) * (CELLS / 360)))) | 0
  const y = Math.min(CELLS - 1, Math.max(0, Math.floor((lat + 90) * (CELLS / 180)))) | 0
  return (spread(x) | (spread(y) << 1)) >>> 0
}

/** Widens a cell over the rounding of `cellCode`: a point may lie this far outside, in degrees. */
const MARGIN = 1e-9

/** What a cell of this level holds; `code` is that of its first finest cell. */
export function cellRectangle(code: number, level: number): GeoRectangle {
  const width = 360 / 2 ** level
  const west = (gather(code) * 360) / CELLS - 180
  const south = (gather(code >>> 1) * 180) / CELLS - 90
  return {
    west: west - MARGIN,
    east: west + width + MARGIN,
    south: south - MARGIN,
    north: south + width / 2 + MARGIN,
  }
}

/** 16 bits to the even bits of 32. */
function spread(value: number): number {
  let v = value
  v = (v | (v << 8)) & 0x00ff00ff
  v = (v | (v << 4)) & 0x0f0f0f0f
  v = (v | (v << 2)) & 0x33333333
  return (v | (v << 1)) & 0x55555555
}

/** The even bits of 32 to 16. */
function gather(value: number): number {
  let v = value & 0x55555555
  v = (v | (v >>> 1)) & 0x33333333
  v = (v | (v >>> 2)) & 0x0f0f0f0f
  v = (v | (v >>> 4)) & 0x00ff00ff
  return (v | (v >>> 8)) & 0x0000ffff
}
