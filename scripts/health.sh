#!/bin/sh
# The health check of a container: `health.sh NAME` succeeds while the process NAME runs and is ready. Two files of the run
# directory say so (lib/node/process/run-dir.ts): its registration, and the lock on its name, which the kernel gives back at
# its death. Node is not started for it.
set -eu
dir=${XENWIRE_RUN_DIR:?}
entry=$dir/proc/$1.json
[ -f "$entry" ] || { echo "$1 has not started"; exit 1; }
if grep -q '"state":"starting"' "$entry"; then echo "$1 is starting"; exit 1; fi
if flock --nonblock "$dir/lock/$1" true; then echo "$1 is dead"; exit 1; fi
