export const outputText = `\
The result goes to stdout; progress, questions, warnings and errors go to stderr.

--json      one JSON document on stdout ({"type":"gc","version":1,…}), or one object a line for
            streams; an error is one object on stderr,
            {"type":"error","version":1,"code","exit","message","hint","details"}; so are warnings
            and notes. Members are added, never changed.
-q          no chatter. Work commands (ingest, export, import, gc, compact, check, …) print
            nothing when all went well, so cron sends no mail. Data commands still print. --json
            -q still prints the document.
-v          more, and the stack of a bug.
--log-file  appends JSON lines, mode 0640. There is no other log.
--progress  auto: a bar on a terminal, else a start line, a line a minute and a summary; with
            --json an object a minute; bar, plain, json, none. SIGUSR2 prints a line on demand.
--no-color  as NO_COLOR and TERM=dumb do. Without a terminal there is no colour anyway.
-           is stdin or stdout. With -o - the result object goes to stderr.

Ctrl-C and SIGTERM stop cleanly, exit 130 and 143; a second one stops at once. A reader that goes
away (| head) is exit 0. Control characters in data are shown as escapes on a terminal and in the
log.
`
