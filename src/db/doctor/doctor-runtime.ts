import { buildHnswlibIndex } from '../../ann/hnswlib.ts'
import { kernelSelfTest } from '../../ann/self-test.ts'
import { type DoctorCheck, failed, fine, warned } from './doctor-check.ts'

/** Oldest major version of Node.js that the library runs on. */
const NODE_MAJOR_MIN = 24

/** What does not depend on a store. */
export async function checkRuntime(): Promise<DoctorCheck[]> {
  return [checkNode(), checkKernel(), await checkHnswlib()]
}

function checkNode(): DoctorCheck {
  const { node } = process.versions
  const major = Number(node.split('.')[0])
  if (major >= NODE_MAJOR_MIN) return fine('runtime', `Node.js ${node}`)
  const message = `Node.js ${node} is older than ${NODE_MAJOR_MIN}`
  return failed('runtime', message, `Install Node.js ${NODE_MAJOR_MIN} or newer.`)
}

function checkKernel(): DoctorCheck {
  const { ok, message } = kernelSelfTest()
  if (ok) return fine('kernel', message)
  const fix = 'Receipts do not replay on this machine; report it with the output of akidb version.'
  return failed('kernel', message, fix)
}

/** Optional: only for exchange with files of hnswlib. */
async function checkHnswlib(): Promise<DoctorCheck> {
  const vectors = { rows: 1, dimension: 2, metric: 'l2' as const, pieces: [Float32Array.of(1, 2)] }
  try {
    const index = await buildHnswlibIndex(vectors, { type: 'hnswlib', m: 8, efConstruction: 16 })
    index.close()
    return fine('hnswlib', 'hnswlib-node is there, for indexes of type hnswlib')
  } catch (error) {
    const fix = 'Only indexes of type hnswlib need it: npm install hnswlib-node.'
    return warned('hnswlib', error instanceof Error ? error.message : String(error), fix)
  }
}
