/** The one door to commander: every other file of the command line takes its classes from here. */
export { Command, CommanderError, Help, InvalidArgumentError, Option } from 'commander'
