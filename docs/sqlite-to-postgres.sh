#!/bin/sh
# Moves deliveries, builds and their statuses from a SQLite database of buildbridge to a
# Postgres database that has its tables and nothing in them. See docs/operations.md.
#
#   sqlite-to-postgres.sh buildbridge.db postgres://user@host:5432/name
#
# Needs sqlite3 and psql. The bridge must be stopped. It copies all rows or none.
set -eu
umask 077 # the copies hold bodies of private repositories
if [ $# -ne 2 ]; then
	echo "usage: $0 buildbridge.db postgres://user@host:5432/name" >&2
	exit 2
fi
from=$1 to=$2
if [ ! -f "$from" ]; then
	echo "$from: no such file" >&2
	exit 1
fi
# The bridge holds this lock while it runs. The lock is beside the file itself, not
# beside a link to it.
from=$(readlink -f "$from")
exec 9>>"$from.lock"
if ! flock -n 9; then
	echo "$from is in use: stop the bridge first" >&2
	exit 1
fi

# ask QUERY asks the Postgres database.
ask() {
	psql -X -q -A -t -v ON_ERROR_STOP=1 -c "$1" "$to"
}
if [ "$(ask "SELECT to_regclass('deliveries') IS NULL OR to_regclass('builds') IS NULL OR to_regclass('statuses') IS NULL")" != f ]; then
	echo "the Postgres database has no tables yet: start the bridge on it once, and stop it" >&2
	exit 1
fi
if [ "$(ask 'SELECT EXISTS (SELECT FROM deliveries) OR EXISTS (SELECT FROM builds)')" != f ]; then
	echo "the Postgres database has deliveries or builds already: nothing is copied" >&2
	exit 1
fi
csv=$(mktemp -d)
trap 'rm -rf "$csv"' EXIT

{
	for table in deliveries builds follows statuses pauses repositories missed_refs; do
		# Columns that are computed from others are not among these.
		columns=$(sqlite3 "$from" "SELECT group_concat(name) FROM pragma_table_info('$table')")
		[ -n "$columns" ] || continue # an older version does not have it
		# Postgres reads binary data as \x and digits, and 0 and 1 as booleans. No process
		# has a lease any more: those rows are due at once.
		values=$(
			sqlite3 "$from" <<-SQL
				SELECT group_concat(CASE
					WHEN lower(type) = 'blob' THEN '''\x''||hex('||name||')'
					WHEN name = 'worker' THEN ''''''
					WHEN name = 'due_at' THEN 'CASE worker WHEN '''' THEN due_at ELSE min(due_at, 1000000 * strftime(''%s'', ''now'')) END'
					ELSE name END) FROM pragma_table_info('$table');
			SQL
		)
		sqlite3 -csv "$from" "SELECT $values FROM $table" >"$csv/$table"
		printf '%s\n' "\\copy $table ($columns) FROM '$csv/$table' WITH (FORMAT csv)"
		# New rows come after those that were copied.
		printf '%s\n' "SELECT setval(pg_get_serial_sequence('$table', 'seq'), coalesce(max(seq), 0) + 1, false) FROM $table \\g /dev/null"
	done
	cat <<'SQL'
SELECT (SELECT count(*) FROM deliveries) || ' deliveries, ' || (SELECT count(*) FROM builds) || ' builds, of which ' ||
	(SELECT count(*) FROM builds WHERE unresolved) || ' are not resolved yet';
SQL
} >"$csv/copy.sql"
psql -X -q -A -t -v ON_ERROR_STOP=1 --single-transaction -f "$csv/copy.sql" "$to"
