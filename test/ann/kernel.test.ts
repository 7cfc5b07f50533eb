import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { KERNEL_BASE64 } from '../../src/ann/kernel/kernel-wasm.ts'
import { kernelFingerprint, kernelSelfTest } from '../../src/ann/self-test.ts'

const script = new URL('../../scripts/build-kernel.mjs', import.meta.url).href
const generated = new URL('../../src/ann/kernel/kernel-wasm.ts', import.meta.url)

it('is what its sources compile to', async () => {
  const { compileKernel, kernelSource } = await import(script)
  const bytes: Uint8Array = await compileKernel()
  expect(Buffer.from(KERNEL_BASE64, 'base64').equals(bytes)).toBe(true)
  expect(await readFile(generated, 'utf8')).toBe(kernelSource(bytes))
})

it('uses no relaxed SIMD, whose results differ between processors', () => {
  const bytes = Buffer.from(KERNEL_BASE64, 'base64')
  // Relaxed opcodes are 0xfd followed by LEB128 numbers from 0x100 on: two bytes, the second at
  // least 2.
  let relaxed = 0
  for (let at = 0; at + 2 < bytes.length; at++) {
    const [prefix, low, high] = [bytes[at], bytes[at + 1] as number, bytes[at + 2] as number]
    if (prefix === 0xfd && low >= 0x80 && low <= 0x93 && high === 2) relaxed++
  }
  expect(relaxed).toBe(0)
})

it('gives the reference results bit by bit', () => {
  expect(kernelFingerprint()).toBe(kernelFingerprint())
  expect(kernelSelfTest()).toEqual({ ok: true, message: expect.stringContaining('bit-exact') })
})
