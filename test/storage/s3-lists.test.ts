import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import { type FakeAnswers, FakeStores, gather } from '../support/s3.ts'

const fakes = new FakeStores()
const against = fakes.open.bind(fakes)
afterEach(() => fakes.close())

const VERSIONS = 'ListVersionsResult'
const noServer = { code: 'UNREACHABLE', hint: expect.stringContaining('S3 server') }

describe('a list', () => {
  const page = (more: string, inner = '', root = 'ListBucketResult'): string =>
    `<?xml version="1.0"?>\n<${root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` +
    `<IsTruncated>${more === '' ? 'false' : 'true'}</IsTruncated>${more}${inner}</${root}>`
  const token = (text: string): string => `<NextContinuationToken>${text}</NextContinuationToken>`
  const object = (key: string, size = '1'): string =>
    `<Contents><Key>${key}</Key><Size>${size}</Size></Contents>`
  const listed = async (answer: FakeAnswers) => {
    const { store, server } = await against(answer)
    const keys = (await gather(store.list(''))).map(({ key }) => key)
    return { keys, requests: server.requests.length }
  }
  const body =
    (text: string): FakeAnswers =>
    () => ({ body: text })

  it('that goes on and on with one token ends', async () => {
    const { store, server } = await against(body(page(token('same'), object('p/k'))))
    await expect(gather(store.list(''))).rejects.toMatchObject(noServer)
    expect(server.requests).toHaveLength(2)
  })

  it.each([
    ['tokens that are always new', (count: number) => `t${count}`, 'p/k'],
    ['two tokens in turn', (count: number) => `t${count % 2}`, 'p/k'],
    ['keys that no store of ours has', (count: number) => `t${count}`, 'p/.hidden'],
  ])('of one key ends, by %s', async (_, name, key) => {
    let count = 0
    const { store, server } = await against(() => {
      return { body: page(token(name(count++)), object(key)) }
    })
    await expect(gather(store.list(''))).rejects.toMatchObject(noServer)
    expect(server.requests.length).toBeLessThan(20)
  })

  it('of versions that comes round ends, and one that falls behind', async () => {
    const at = (key: string, id: string) =>
      `<NextKeyMarker>${key}</NextKeyMarker><NextVersionIdMarker>${id}</NextVersionIdMarker>`
    const version = (key: string) => `<Version><Key>${key}</Key><Size>1</Size></Version>`
    const ends = async (next: (count: number) => string, key: (count: number) => string) => {
      let count = 0
      const { store, server } = await against(() => {
        const inner = version(key(++count))
        return { body: page(next(count), inner, VERSIONS) }
      })
      await expect(gather(store.versions(''))).rejects.toMatchObject(noServer)
      expect(server.requests.length).toBeLessThan(60)
    }
    for (const ring of [2, 3, 11])
      await ends(
        (n) => at('p/k', `${n % ring}`),
        () => 'p/k',
      )
    const strange = (n: number) => (n % 2 === 0 ? 'p/.a' : 'p/.b')
    await ends((n) => at(`p/.c${n}`, 'v'), strange)
  })

  it('of many versions of one key goes on', async () => {
    let count = 0
    const { store } = await against(() => {
      const id = `<VersionId>${count}</VersionId>`
      const version = `<Version><Key>p/k</Key><Size>1</Size>${id}</Version>`
      const next = `<NextKeyMarker>p/k</NextKeyMarker>`
      const more = `${next}<NextVersionIdMarker>${count}</NextVersionIdMarker>`
      return { body: page(++count < 50 ? more : '', version, VERSIONS) }
    })
    expect(await gather(store.versions(''))).toHaveLength(50)
  })

  it('whose pages are all empty ends', async () => {
    let count = 0
    const { store, server } = await against(() => ({ body: page(token(`t${count++}`)) }))
    await expect(gather(store.list(''))).rejects.toMatchObject(noServer)
    expect(server.requests.length).toBeLessThan(200)
  })

  it('that has more and does not say where is no list', async () => {
    for (const more of [' ', token(''), '<NextMarker>p/k</NextMarker>']) {
      await expect(listed(body(page(more, object('p/k'))))).rejects.toMatchObject(noServer)
    }
    const root = VERSIONS
    const versions = `<Version><Key>p/k</Key><Size>1</Size><VersionId>v</VersionId></Version>`
    for (const more of [' ', '<NextVersionIdMarker>v</NextVersionIdMarker>']) {
      const { store } = await against(body(page(more, versions, root)))
      await expect(gather(store.versions(''))).rejects.toMatchObject(noServer)
    }
  })

  it('leaves out what no store of ours can hold', async () => {
    const strange = ['p/', 'p/../x', 'p//x', 'p/a b', 'p/ä', 'p/.hidden', 'p/lost+found/x']
    const inner = [...strange, 'p/ok'].map((key) => object(key)).join('')
    expect((await listed(body(page('', inner)))).keys).toEqual(['ok'])
  })

  it.each([
    ['out of order', object('p/b') + object('p/a')],
    ['from another prefix', object('other/k')],
    ['without a key', '<Contents><Size>1</Size></Contents>'],
    ['with two keys', '<Contents><Key>p/a</Key><Key>p/b</Key></Contents>'],
    ['with a key that is none', '<Contents><Key><b>p/a</b></Key></Contents>'],
    ['of negative size', object('p/a', '-1')],
    ['of no size that is a number', object('p/a', 'NaN')],
    ['of a size beyond all numbers', object('p/a', '9'.repeat(30))],
  ])('is refused: %s', async (_, inner) => {
    await expect(listed(body(page('', inner)))).rejects.toMatchObject(noServer)
  })

  it.each([
    ['a page of HTML', '<!DOCTYPE html><html><body>Welcome<br></body></html>'],
    ['nothing', ''],
    ['text', 'OK'],
    ['another document', '<Other/>'],
    [
      'entities that grow',
      `<!DOCTYPE x [<!ENTITY a "${'a'.repeat(1_000)}">]>${page('', object('p/&a;&a;'))}`,
    ],
    ['a million elements', page('', '<b/>'.repeat(1_000_000))],
    ['elements within elements', page('', '<a>'.repeat(50_000) + '</a>'.repeat(50_000))],
    ['names that are dangerous', page('', '<__proto__><Key>p/a</Key></__proto__>')],
  ])('is none: %s', async (_, text) => {
    const started = performance.now()
    await expect(listed(body(text))).rejects.toMatchObject(noServer)
    expect(performance.now() - started).toBeLessThan(5_000)
  })

  it('that is cut, and says so of itself, is asked for again', async () => {
    const whole = page('', object('p/a') + object('p/b'))
    let count = 0
    const cutAt = [1, 60, 150, whole.length - 1]
    const { keys, requests } = await listed(() => {
      const end = cutAt[count++]
      // Without its beginning nothing tells what it was to be.
      return { body: whole.slice(0, end === 1 ? 90 : end) }
    })
    expect(keys).toEqual(['a', 'b'])
    expect(requests).toBe(cutAt.length + 1)
  })

  it('of keys that are not encoded, though they were to be, is read as it is', async () => {
    const inner = object('p/a+b=1') + object('p/a@&#x31;&amp;')
    expect((await listed(body(page('', inner)))).keys).toEqual(['a+b=1'])
    const encoded = `<EncodingType>url</EncodingType>${object('p%2Fa%2Bb%3D1')}`
    expect((await listed(body(page('', encoded)))).keys).toEqual(['a+b=1'])
    const broken = `<EncodingType>url</EncodingType>${object('p%2Fa%2')}`
    await expect(listed(body(page('', broken)))).rejects.toMatchObject(noServer)
  })

  it('of versions asks for a page before the one in front of it was looked at', async () => {
    const one = (key: string) =>
      `<Version><Key>p/${key}</Key><VersionId>1</VersionId><Size>1</Size></Version>`
    const marker = `<NextKeyMarker>p/a</NextKeyMarker>`
    const second = Promise.withResolvers<void>()
    let ended: Promise<unknown> | undefined
    const { store } = await against(async (request) => {
      if (!request.url?.includes('key-marker')) return { body: page(marker, one('a'), VERSIONS) }
      ended = once(request.socket, 'close')
      second.resolve()
      return await new Promise(() => {})
    })
    const listing = store.versions('')[Symbol.asyncIterator]()
    expect(await listing.next()).toMatchObject({ value: { key: 'a' } })
    // Nobody has asked for more.
    await second.promise
    await listing.return?.()
    await ended
  })

  it('whose markers stand behind its versions is one by key, the newest first', async () => {
    const one = (name: string, key: string, id: string, day: number) =>
      `<${name}><Key>p/${key}</Key><VersionId>${id}</VersionId><Size>1</Size>` +
      `<LastModified>2026-01-0${day}T00:00:00Z</LastModified></${name}>`
    const versions = [one('Version', 'a', '2', 2), one('Version', 'b', '1', 1)]
    const markers = [one('DeleteMarker', 'a', '3', 3), one('DeleteMarker', 'a', '1', 1)]
    const read = async (inner: readonly string[]) => {
      const { store } = await against(body(page('', inner.join(''), VERSIONS)))
      const found = await gather(store.versions(''))
      return found.map(({ key, versionId }) => key + versionId)
    }
    expect(await read([...versions, ...markers])).toEqual(['a3', 'a2', 'a1', 'b1'])
    const latest = markers[0]
      ?.replace('-03T', '-02T')
      .replace('<Size', '<IsLatest>true</IsLatest><Size')
    expect(await read([...versions, latest ?? ''])).toEqual(['a3', 'a2', 'b1'])
    // What is in no order at all may be half of a list.
    await expect(read([...versions.toReversed(), ...markers])).rejects.toMatchObject(noServer)
    await expect(read([...markers, ...versions.toReversed()])).rejects.toMatchObject(noServer)
    const unsorted = [one('DeleteMarker', 'c', '1', 1), ...markers]
    await expect(read([...versions, ...unsorted])).rejects.toMatchObject(noServer)
  })

  it('of versions keeps the order of the document', async () => {
    const one = (name: string, key: string, id: string) =>
      `<${name}><Key>${key}</Key><VersionId>${id}</VersionId><Size>1</Size></${name}>`
    const inner = [
      one('DeleteMarker', 'p/a', '5'),
      one('Version', 'p/a', '4'),
      one('DeleteMarker', 'p/a', '3'),
      one('Version', 'p/a', '2'),
      one('Version', 'p/b', ''),
    ]
    const { store } = await against(body(page('', inner.join(''), VERSIONS)))
    const found = await gather(store.versions(''))
    expect(found.map(({ versionId }) => versionId)).toEqual(['5', '4', '3', '2', 'null'])
    const hidden = `<![CDATA[<Version>]]>${inner.join('')}`
    const other = await against(body(page('', hidden, VERSIONS)))
    await expect(gather(other.store.versions(''))).rejects.toMatchObject(noServer)
  })
})
