import { AkidbError } from '../../errors/errors.ts'
import { isKeySegment } from '../keys.ts'

/** A bucket, and the beginning of all keys in it: '' or text that ends with '/'. */
export interface S3Place {
  readonly bucket: string
  readonly prefix: string
}

/** Whether a store's address is that of a bucket. */
export const isS3Url = (url: string): boolean => /^s3:\/\//i.test(url)

/** `s3://bucket/prefix` in its parts. @throws USAGE */
export function parseS3Url(url: string): S3Place {
  const [, bucket = '', path = ''] = /^s3:\/\/([^/]*)\/?(.*)$/i.exec(url) ?? []
  const segments = path.replace(/\/$/, '').split('/')
  const isBucket = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket) && !bucket.includes('..')
  if (!isBucket || (path !== '' && !segments.every(isKeySegment))) {
    throw new AkidbError('USAGE', `"${url.slice(0, 200)}" is no address of a bucket`, {
      hint: 'Write s3://bucket or s3://bucket/prefix, of letters, digits and . _ @ = + -.',
    })
  }
  return { bucket, prefix: path === '' ? '' : `${segments.join('/')}/` }
}

/** The address as it is shown. */
export const s3UrlOf = ({ bucket, prefix }: S3Place): string =>
  `s3://${bucket}${prefix === '' ? '' : `/${prefix.slice(0, -1)}`}`
