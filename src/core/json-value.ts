/**
 * JSON as akidb keeps it: RFC 8259, strict UTF-8, duplicate keys refused, key order kept (Map),
 * integers exact.
 *
 * A number is `number` where it is a float or an integer within ±(2⁵³−1), and `bigint` for other
 * integers within −2⁶³…2⁶⁴−1. Wider integers and floats beyond f64's range become their text
 * (string), so nothing is rounded to another value silently or turns into Infinity.
 */
export type JsonValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly JsonValue[]
  | JsonObject
export type JsonObject = ReadonlyMap<string, JsonValue>
