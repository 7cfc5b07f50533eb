import type { DefineCommand } from './define-command.ts'

/**
 * A command of the first level. Its module is loaded only when it is chosen, so that akidb starts
 * fast.
 */
export interface RegisteredCommand {
  readonly name: string
  readonly summary: string
  readonly group: string
  load(): Promise<DefineCommand>
}

const STORE = 'Store'
const RECORDS = 'Records'
const VERSIONS = 'Versions'
const CARRY = 'Bundles, keys and audit'
const SEALED = 'Sealed storage'
const REST = 'Server and help'

const entry = (
  group: string,
  name: string,
  summary: string,
  load: () => Promise<DefineCommand>,
): RegisteredCommand => ({ group, name, summary, load })

/** Every command of the first level, in the order of the help. */
export const REGISTRY: readonly RegisteredCommand[] = [
  entry(
    STORE,
    'init',
    'make a store and its keys',
    async () => (await import('./commands/init.ts')).defineInit,
  ),
  entry(
    STORE,
    'adopt',
    'tell a moved or copied store where it is now',
    async () => (await import('./commands/adopt.ts')).defineAdopt,
  ),
  entry(
    STORE,
    'list',
    'list collections',
    async () => (await import('./commands/list.ts')).defineList,
  ),
  entry(
    STORE,
    'show',
    'show one collection',
    async () => (await import('./commands/show.ts')).defineShow,
  ),
  entry(
    STORE,
    'create',
    'make an empty collection',
    async () => (await import('./commands/create.ts')).defineCreate,
  ),
  entry(
    STORE,
    'drop',
    'remove a collection',
    async () => (await import('./commands/drop.ts')).defineDrop,
  ),
  entry(
    STORE,
    'status',
    'show the state of the store',
    async () => (await import('./commands/status.ts')).defineStatus,
  ),
  entry(
    STORE,
    'doctor',
    'look for trouble, changing nothing',
    async () => (await import('./commands/doctor.ts')).defineDoctor,
  ),
  entry(
    STORE,
    'check',
    'check the bytes of the store',
    async () => (await import('./commands/check.ts')).defineCheck,
  ),
  entry(
    STORE,
    'repair',
    'rebuild what can be rebuilt',
    async () => (await import('./commands/repair.ts')).defineRepair,
  ),
  entry(
    STORE,
    'gc',
    'remove what nothing names any more',
    async () => (await import('./commands/gc.ts')).defineGc,
  ),
  entry(
    STORE,
    'compact',
    'merge the segments of a collection',
    async () => (await import('./commands/compact.ts')).defineCompact,
  ),
  entry(
    STORE,
    'warm',
    "bring a bucket's index near",
    async () => (await import('./commands/warm.ts')).defineWarm,
  ),
  entry(
    STORE,
    'upgrade',
    'raise the format of the store',
    async () => (await import('./commands/upgrade.ts')).defineUpgrade,
  ),
  entry(
    RECORDS,
    'ingest',
    'take records from files',
    async () => (await import('./commands/ingest.ts')).defineIngest,
  ),
  entry(
    RECORDS,
    'search',
    'find the nearest records',
    async () => (await import('./commands/search.ts')).defineSearch,
  ),
  entry(
    RECORDS,
    'count',
    'count records',
    async () => (await import('./commands/count.ts')).defineCount,
  ),
  entry(
    RECORDS,
    'facet',
    'count the values of a field',
    async () => (await import('./commands/facet.ts')).defineFacet,
  ),
  entry(
    RECORDS,
    'get',
    'print records by id',
    async () => (await import('./commands/get.ts')).defineGet,
  ),
  entry(
    RECORDS,
    'delete',
    'delete records',
    async () => (await import('./commands/delete.ts')).defineDelete,
  ),
  entry(
    RECORDS,
    'dump',
    'write all records to a file',
    async () => (await import('./commands/dump.ts')).defineDump,
  ),
  entry(
    RECORDS,
    'index',
    'build and measure the index',
    async () => (await import('./commands/index.ts')).defineIndex,
  ),
  entry(
    VERSIONS,
    'log',
    'show the history of a collection',
    async () => (await import('./commands/log.ts')).defineLog,
  ),
  entry(
    VERSIONS,
    'diff',
    'compare two states',
    async () => (await import('./commands/diff.ts')).defineDiff,
  ),
  entry(
    VERSIONS,
    'revert',
    'go back to an earlier state',
    async () => (await import('./commands/revert.ts')).defineRevert,
  ),
  entry(
    VERSIONS,
    'snapshot',
    'name a state and keep it',
    async () => (await import('./commands/snapshot.ts')).defineSnapshot,
  ),
  entry(
    CARRY,
    'export',
    'write a signed bundle',
    async () => (await import('./commands/export.ts')).defineExport,
  ),
  entry(
    CARRY,
    'import',
    'take a bundle into the store',
    async () => (await import('./commands/import.ts')).defineImport,
  ),
  entry(
    CARRY,
    'replay',
    'open a bundle read-only',
    async () => (await import('./commands/replay.ts')).defineReplay,
  ),
  entry(
    CARRY,
    'bundle',
    'inspect and verify bundles',
    async () => (await import('./commands/bundle.ts')).defineBundle,
  ),
  entry(
    CARRY,
    'keys',
    'make, trust and keep keys',
    async () => (await import('./commands/keys.ts')).defineKeys,
  ),
  entry(
    CARRY,
    'audit',
    'read, verify and prove the audit log',
    async () => (await import('./commands/audit.ts')).defineAudit,
  ),
  entry(
    SEALED,
    'push',
    'seal collections in a bucket',
    async () => (await import('./commands/push.ts')).definePush,
  ),
  entry(
    SEALED,
    'pull',
    'bring sealed collections back',
    async () => (await import('./commands/pull.ts')).definePull,
  ),
  entry(
    SEALED,
    'worm',
    'show, verify and hold what is sealed',
    async () => (await import('./commands/worm.ts')).defineWorm,
  ),
  entry(
    SEALED,
    'kms',
    'ask a key server (KES), and make keys there',
    async () => (await import('./commands/kms.ts')).defineKms,
  ),
  entry(
    REST,
    'serve',
    'run the HTTP server',
    async () => (await import('./commands/serve.ts')).defineServe,
  ),
  entry(
    REST,
    'bench',
    'measure this machine',
    async () => (await import('./commands/bench.ts')).defineBench,
  ),
  entry(
    REST,
    'config',
    'show the configuration',
    async () => (await import('./commands/config.ts')).defineConfig,
  ),
  entry(
    REST,
    'completion',
    'print a completion script',
    async () => (await import('./commands/completion.ts')).defineCompletion,
  ),
  entry(
    REST,
    'version',
    'print versions and formats',
    async () => (await import('./commands/version.ts')).defineVersion,
  ),
  entry(
    REST,
    'help',
    'explain a topic or a command',
    async () => (await import('./commands/help.ts')).defineHelp,
  ),
]
