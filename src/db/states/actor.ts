import { hostname, userInfo } from 'node:os'
import type { AuditActor } from '../../audit/entry.ts'

/** The operating system's word for who runs this process; `sudoUser` is whom sudo ran it for. */
export function currentActor(sudoUser?: string): AuditActor {
  const host = hostname()
  try {
    const { username, uid } = userInfo()
    return {
      user: username,
      ...(uid >= 0 ? { uid } : {}),
      ...(sudoUser === undefined ? {} : { sudoUser }),
      host,
    }
  } catch {
    // A container may run under a number that no user database knows.
    const uid = process.getuid?.()
    return { user: `uid-${uid ?? 'unknown'}`, ...(uid === undefined ? {} : { uid }), host }
  }
}
