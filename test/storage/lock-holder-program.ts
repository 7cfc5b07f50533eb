import { hostname } from 'node:os'
import { openSqliteLocks } from '../../src/storage/sqlite-locks.ts'
import { systemClock } from '../../src/storage/system-clock.ts'

/** Takes the lock argv[3] in the folder argv[2], says so, and keeps it until its stdin ends. */
const [, , folder = '', name = '', waitMs = '10000'] = process.argv
const locks = openSqliteLocks(folder, {
  holder: { host: hostname(), pid: process.pid, command: 'lock holder', startedAt: '2026' },
  clock: systemClock,
})
try {
  await locks.acquire(name, Number(waitMs))
  process.stdout.write('held\n')
  process.stdin.resume()
  process.stdin.once('end', () => void locks.close())
} catch (error) {
  process.stdout.write(`${error instanceof Error && 'code' in error ? error.code : error}\n`)
}
