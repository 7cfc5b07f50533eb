import { AkidbError } from '../../errors/errors.ts'
import type { OpenedStore, SnapshotInfo } from '../../index.ts'
import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { shortDigest } from '../human.ts'
import { dryRun } from '../option-kinds.ts'
import { table } from '../table.ts'

/** `akidb snapshot create|list|drop`. */
export const defineSnapshot = (command: Command, app: App): void => {
  describe(command, {
    summary: 'name a state and keep it',
    examples: [
      ['akidb snapshot create docs friday', 'name the newest state'],
      ['akidb search docs --text heat --as-of friday', 'search it later'],
    ],
    exits: [21, 22, 23, 24],
  })
  defineCreate(command.command('create'), app)
  defineList(command.command('list'), app)
  defineDrop(command.command('drop'), app)
}

const defineCreate = (command: Command, app: App): void => {
  describe(command, {
    summary: 'name the newest state',
    examples: [['akidb snapshot create docs friday', 'gc leaves what it names alone']],
    exits: [21, 22, 23, 24],
  })
  command.argument('<collection>', 'its name').argument('<label>', 'letters, digits, . _ -')
  command.action((name: string, label: string) =>
    app.run(command, (context) =>
      context.withStore('write', async (store) => {
        const collection = await store.collection(name)
        const result = await collection.snapshots.create(label)
        const state = shortDigest(result.stateRoot)
        const text = `${name}: ${label} names version ${result.version}, state ${state}`
        // In this one result `version` is the snapshot's own, as the contract has it.
        const manifestVersion = result.version
        return { result: { collection: name, ...result, manifestVersion }, text, work: true }
      }),
    ),
  )
}

const defineList = (command: Command, app: App): void => {
  describe(command, {
    summary: 'list snapshots',
    examples: [['akidb snapshot list docs', 'labels and the states that they name']],
    exits: [21, 24],
  })
  command.argument('<collection>', 'its name')
  command.action((name: string) =>
    app.run(command, (context) =>
      context.withStore('read', async (store) => {
        const snapshots = await snapshotsOf(store, name)
        return { result: { collection: name, snapshots }, text: listText(snapshots) }
      }),
    ),
  )
}

/** Also those of a collection that was dropped: they keep its states until they go too. */
async function snapshotsOf(store: OpenedStore, name: string): Promise<SnapshotInfo[]> {
  const snapshots = await store.prospect(name).snapshots.list()
  if (snapshots.length === 0) await store.collection(name)
  return snapshots
}

const listText = (snapshots: readonly SnapshotInfo[]): string =>
  table(
    [
      { title: 'LABEL' },
      { title: 'VERSION', align: 'right' },
      { title: 'COMMITTED' },
      { title: 'STATE ROOT' },
    ],
    snapshots.map(({ label, version, committedAt, stateRoot }) => [
      label,
      String(version),
      committedAt,
      shortDigest(stateRoot),
    ]),
  )

const defineDrop = (command: Command, app: App): void => {
  describe(command, {
    summary: 'forget a label',
    examples: [['akidb snapshot drop docs friday', 'gc may then remove the state']],
    exits: [21, 22, 23, 24],
  })
  command.argument('<collection>', 'its name').argument('<label>', 'the label')
  command.addOption(dryRun('forgotten'))
  command.action((name: string, label: string, flags: { readonly dryRun?: true }) =>
    app.run(command, (context) =>
      context.withStore(flags.dryRun ? 'read' : 'write', async (store) => {
        const found = (await snapshotsOf(store, name)).find((one) => one.label === label)
        if (found === undefined) {
          throw new AkidbError('NOT_FOUND', `collection "${name}" has no snapshot "${label}"`)
        }
        if (!flags.dryRun) await store.prospect(name).snapshots.drop(label)
        const verb = flags.dryRun ? 'would forget' : 'forgot'
        const text = `${name}: ${verb} ${label}, version ${found.version}`
        const dry = flags.dryRun ? { dryRun: true } : {}
        return { result: { collection: name, ...found, ...dry }, text, work: true }
      }),
    ),
  )
}
