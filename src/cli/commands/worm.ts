import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { defineExtend, defineHold, defineRelease } from '../worm-locks.ts'
import { defineWormStatus, defineWormVerify } from '../worm-reads.ts'

/** `akidb worm status|verify|extend|hold|release`. */
export const defineWorm = (command: Command, app: App): void => {
  describe(command, {
    summary: 'show, verify and hold what is sealed',
    examples: [
      ['akidb worm status s3://evidence/site-a', 'what lies there, and until when'],
      ['akidb worm verify s3://evidence/site-a', 'all of it is as it was sealed'],
      ['akidb worm hold s3://evidence/site-a docs --snapshot friday', 'until it is released'],
    ],
    exits: [21, 23, 24, 25],
  })
  defineWormStatus(command.command('status'), app)
  defineWormVerify(command.command('verify'), app)
  defineExtend(command.command('extend'), app)
  defineHold(command.command('hold'), app)
  defineRelease(command.command('release'), app)
}
