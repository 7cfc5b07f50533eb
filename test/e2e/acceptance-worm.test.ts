import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, it } from 'vitest'
import { describeMinio } from '../support/minio.ts'
import { sharedData } from '../support/shared-data.ts'

const SCRIPT = join(import.meta.dirname, '..', 'acceptance-worm.sh')
const TIMEOUT_MS = 300_000

describeMinio('the acceptance of sealed storage', () => {
  const rows = sharedData('labse-public.parquet')

  it.skipIf(rows === undefined)(
    'passes on the real data',
    async () => {
      const child = spawn('bash', [SCRIPT, dirname(rows ?? '')], {
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      const exit = once(child, 'exit')
      const said = Promise.all([text(child.stdout), text(child.stderr)])
      const [code] = await exit
      expect(code, (await said).join('\n')).toBe(0)
    },
    TIMEOUT_MS,
  )
})
