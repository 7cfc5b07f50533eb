import { HttpRefusal } from './http-error.ts'

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/i

/** Whether an address to listen on is reached from this machine only. */
export const isLoopback = (host: string): boolean =>
  LOOPBACK.test(host.includes(':') && !host.startsWith('[') ? `[${host}]` : host)

/**
 * Keeps web pages away from a server that asks for no password: on the loopback a request must name
 * the loopback in `Host` (DNS rebinding gives a page's own name an address here), and one that a
 * browser sends for a page must come from the same host (`Origin`).
 *
 * @throws AUTH (403)
 */
export function checkOrigin(headers: Headers, options: { readonly loopback: boolean }): void {
  const host = headers.get('host') ?? ''
  if (options.loopback && !LOOPBACK.test(nameOf(host))) {
    throw new HttpRefusal(
      403,
      'AUTH',
      `the server answers on the loopback only, not as "${host}"`,
      'Use http://127.0.0.1 or http://localhost.',
    )
  }
  const origin = headers.get('origin')
  if (origin === null || hostOf(origin) === host.toLowerCase()) return
  throw new HttpRefusal(403, 'AUTH', `a page of "${origin}" may not use this server`)
}

const nameOf = (host: string): string => host.replace(/:\d{1,5}$/, '')

function hostOf(origin: string): string | undefined {
  try {
    return new URL(origin).host.toLowerCase()
  } catch {
    return undefined
  }
}
