#!/usr/bin/env bash
# A hundred notes by a hundred processes, with nobody who serves the store: cron jobs, hooks, an
# editor's commands. None of them finds it locked, and none has to be started before.
#
#     examples/shell/hundred-notes.sh [STORE]
set -euo pipefail
store=${1:-$(mktemp -d)/notes}
began=$(date +%s%N)
for number in $(seq 1 100); do
    sutra learn "$store" "what was noted as number $number" --id "note-$number" > /dev/null
done
echo "a hundred commands took $((($(date +%s%N) - began) / 1000000)) ms"
sutra search "$store" "number 42"
