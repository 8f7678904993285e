#!/usr/bin/env bash
# A Slurm cluster of one node and two partitions, this machine, for the tests. Everything that it writes is in FOLDER, the
# system's own configuration is not touched, and any user can start it. Needs slurm-wlm and munge. Memory is limited
# without control groups, which a container may not make: Slurm adds up what a job's processes have every second, and
# kills a job that has more than it asked for. What a job is killed for, and how it is said, is the same.
#   one_node.sh start FOLDER    then: export SLURM_CONF=FOLDER/slurm.conf PATH=FOLDER/bin:$PATH
#   one_node.sh stop FOLDER
set -euo pipefail
PATH=$PATH:/usr/sbin

free_ports() {
    python3 - <<'PYTHON'
import socket

sockets = [socket.socket() for _ in range(2)]
for one in sockets:
    one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in sockets))
PYTHON
}

configuration() {
    local folder=$1 controller_port=$2 node_port=$3
    local memory
    memory=$(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo)
    cat <<CONFIGURATION
ClusterName=one_node
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$controller_port
SlurmdPort=$node_port
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket,cred_expire=5
CryptoType=crypto/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=UsePss,OverMemoryKill
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1
ReturnToService=1
MinJobAge=3600
KillWait=2
MessageTimeout=100
GresTypes=gpu
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$memory Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=ALL MaxTime=INFINITE State=UP
CONFIGURATION
}

# Snakemake's Slurm plugin takes SLURM_CONF out of the environment in which a job calls srun, so srun is told again; and
# squeue finds no controller as long as there is a file FOLDER/silent.
commands_of_this_cluster() {
    mkdir -p "$1/bin"
    printf '#!/bin/sh\nSLURM_CONF="%s" exec "%s" "$@"\n' "$1/slurm.conf" "$(command -v srun)" >"$1/bin/srun"
    printf '#!/bin/sh\nif [ -e "%s" ]; then echo "%s" >&2; exit 1; fi\nexec "%s" "$@"\n' "$1/silent" \
        "slurm_load_jobs error: Unable to contact slurm controller (connect failure)" "$(command -v squeue)" >"$1/bin/squeue"
    chmod +x "$1/bin/srun" "$1/bin/squeue"
}

start() {
    local folder
    mkdir -p "$1"
    folder=$(cd "$1" && pwd)
    mkdir -p "$folder/state" "$folder/spool"
    # Munge refuses a socket or a key that others could reach.
    chmod 755 "$folder"
    (umask 077 && head -c 128 /dev/urandom >"$folder/munge.key")
    munged --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
        --log-file="$folder/munged.log" --seed-file="$folder/munge.seed" --num-threads=2 --force
    # shellcheck disable=SC2046
    configuration "$folder" $(free_ports) >"$folder/slurm.conf"
    # Not a GPU, but something that Slurm counts and gives away as one.
    echo "Name=gpu File=/dev/null" >"$folder/gres.conf"
    commands_of_this_cluster "$folder"
    export SLURM_CONF=$folder/slurm.conf
    slurmctld -f "$SLURM_CONF"
    slurmd -f "$SLURM_CONF"
    for _ in $(seq 60); do
        if sinfo --noheader --format=%T 2>/dev/null | grep -q '^idle'; then
            return 0
        fi
        sleep 0.5
    done
    echo "the node did not become idle within 30 s; the end of its logs:" >&2
    tail -n 20 "$folder"/*.log >&2
    return 1
}

running() {
    kill -0 "$1" 2>/dev/null && ! grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null
}

stop() {
    local daemon pid folder environment
    folder=$(cd "$1" && pwd)
    for daemon in slurmd slurmctld munged; do
        [[ -f $1/$daemon.pid ]] || continue
        pid=$(cat "$1/$daemon.pid")
        kill "$pid" 2>/dev/null || true
        for _ in $(seq 40); do
            running "$pid" || break
            sleep 0.25
        done
    done
    # a job that its node lost, too: one has been seen to take no signal but this one
    for environment in /proc/[0-9]*/environ; do
        if grep -qszxF "SLURM_CONF=$folder/slurm.conf" "$environment"; then
            pid=${environment//[^0-9]/}
            kill -KILL "$pid" 2>/dev/null || true
        fi
    done
}

case "${1:-}" in
start | stop) "$1" "${2:?a folder}" ;;
*) sed -n '2,7s/^# *//p' "$0" >&2 && exit 2 ;;
esac
