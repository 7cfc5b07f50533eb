import { writeFileSync } from 'node:fs'
import { afterAll, expect, it } from 'vitest'
import { openPlace } from './support/cli.ts'

const place = openPlace()
afterAll(() => place.remove())

it('a dropped collection lets go of its data when its snapshots are dropped too', async () => {
  const json = async (...argv: string[]) => {
    const ran = await place.run([...argv, '--json'])
    expect(ran.code, ran.stderr).toBe(0)
    return JSON.parse(ran.stdout)
  }
  writeFileSync(place.at('a.jsonl'), '{"id":"a","vector":[1,2]}\n')
  await place.run(['init'])
  await json('ingest', 'docs', 'a.jsonl')
  await json('snapshot', 'create', 'docs', 'friday')
  expect(await json('drop', 'docs', '--confirm', 'docs')).toMatchObject({ rows: 1, snapshots: 1 })
  expect(await json('gc', '--keep', '0s')).toMatchObject({ blobs: 0 })
  const { snapshots } = await json('snapshot', 'list', 'docs')
  expect(snapshots).toMatchObject([{ label: 'friday' }])
  await json('snapshot', 'drop', 'docs', 'friday')
  expect(await json('gc', '--keep', '0s')).toMatchObject({ blobs: 1, kept: 0 })
  expect((await place.run(['snapshot', 'list', 'docs'])).code).toBe(21)
})
