import { environmentName, SETTINGS } from '../setting-table.ts'

/** Where values come from, and the table of keys. */
export function configText(): string {
  const lines = SETTINGS.map((setting) => {
    const flag = setting.flag === '' ? '-' : `--${setting.flag}`
    const mark = setting.project ? ' ' : '*'
    const variable = environmentName(setting.name)
    return `  ${mark} ${setting.name.padEnd(22)} ${flag.padEnd(20)} ${variable}`
  })
  return `A value comes from the first of these that has it:

  1. an option                    --store /srv/vectors
  2. the environment              AKIDB_STORE=/srv/vectors
  3. ./akidb.config.json          {"store": "/srv/vectors"}, or the file of --config
  4. the user's file              $XDG_CONFIG_HOME/akidb/config.json (~/.config/akidb/config.json)
  5. the system's file            /etc/akidb/config.json
  6. the default

akidb config show prints each value and its origin. An unknown key is exit 2. A relative path in a
file starts from that file's folder. ./akidb.config.json is ignored, with a warning, when another
user owns it, and may not set the keys marked *. Groups are objects: {"index": {"m": 32}, "audit":
{"queries": "full"}}.

    KEY                    OPTION               ENVIRONMENT
${lines.join('\n')}

audit.queries is off, digest (the default) or full: what the audit log keeps of a search.
audit.required refuses a search whose entry cannot be written. Without --store: ./akidb-data where
it exists, else $XDG_DATA_HOME/akidb (/var/lib/akidb for root).
`
}
