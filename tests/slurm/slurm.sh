#!/usr/bin/env bash
# A real Slurm of two nodes on this machine, for tests: slurm.sh up DIR, slurm.sh down DIR.
#
# "up" installs the packages if they are missing (Debian, Ubuntu), writes a configuration into DIR, starts the
# daemons without systemd, waits until both nodes are idle, and writes DIR/environment (SLURM_CONF=...). It ends with
# 77 and a reason on standard error where that cannot be done. "down" cancels all jobs and ends these daemons alone.
set -euo pipefail

action=${1:?up or down}
dir=$(realpath -m "${2:?a directory}")
nodes=2
first_port=27100 # away from the usual ones, so that a Slurm of the machine's own is left alone
host=$(hostname -s)
export SLURM_CONF=$dir/slurm.conf

impossible() {
    echo "$1" >&2
    exit 77
}

runs() { # pid file, name
    [ -s "$1" ] && [ "$(cat "/proc/$(cat "$1")/comm" 2>/dev/null)" = "$2" ]
}

install() {
    local missing=0 program
    for program in munged slurmctld slurmd sbatch; do
        command -v "$program" >/dev/null || missing=1
    done
    [ $missing = 1 ] || return 0
    command -v apt-get >/dev/null || impossible "Slurm is not installed, and there is no apt-get to install it with"
    export DEBIAN_FRONTEND=noninteractive
    # Packages would start their services, which have no configuration yet; 101 forbids it.
    local policy=/usr/sbin/policy-rc.d packages=(munge slurmctld slurmd slurm-client)
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    if ! apt-get install -y -qq --no-install-recommends "${packages[@]}" >"$dir/apt.log" 2>&1; then
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}"; } >>"$dir/apt.log" 2>&1 ||
            impossible "Slurm cannot be installed: $(tail -n 1 "$dir/apt.log")"
    fi
}

configure() {
    cat >"$SLURM_CONF" <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$first_port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket=$dir/munge/socket
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool-%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd-%n.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=800
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
NodeName=t[1-$nodes] NodeHostname=$host NodeAddr=127.0.0.1 Port=$((first_port + 1))-$((first_port + nodes)) CPUs=2 RealMemory=4000
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
}

up() {
    [ "$(id -u)" = 0 ] || impossible "starting Slurm needs root"
    mkdir -p "$dir/munge" "$dir/state" # clients must reach munge's socket, so its directory is open to them
    chmod 711 "$dir/munge"
    install
    [ -s "$dir/munge/key" ] || (umask 077 && head -c 1024 /dev/urandom >"$dir/munge/key")
    configure
    runs "$dir/munge/pid" munged || munged --force --num-threads=2 --key-file="$dir/munge/key" \
        --socket="$dir/munge/socket" --pid-file="$dir/munge/pid" --log-file="$dir/munge/log" --seed-file="$dir/munge/seed"
    runs "$dir/slurmctld.pid" slurmctld || slurmctld -i
    local node
    for node in $(seq $nodes); do
        mkdir -p "$dir/spool-t$node"
        runs "$dir/slurmd-t$node.pid" slurmd || slurmd -N "t$node"
    done
    for _ in $(seq 300); do
        if [ "$(sinfo -h -N -o %T 2>/dev/null | grep -c '^idle$')" = $nodes ]; then
            echo "SLURM_CONF=$SLURM_CONF" >"$dir/environment"
            return
        fi
        sleep 0.1
    done
    tail -n 5 "$dir"/*.log >&2
    impossible "Slurm was started, but its nodes did not come up"
}

end() { # pid file, name
    runs "$1" "$2" || return 0
    local pid
    pid=$(cat "$1")
    kill "$pid"
    for _ in $(seq 100); do
        [ -d "/proc/$pid" ] || return 0
        sleep 0.1
    done
    kill -9 "$pid"
}

down() {
    if runs "$dir/slurmctld.pid" slurmctld; then
        timeout 10 squeue -h -o %A | sort -u | xargs -r timeout 10 scancel || true
        for _ in $(seq 100); do
            [ -n "$(timeout 5 squeue -h 2>/dev/null)" ] || break
            sleep 0.1
        done
    fi
    local node
    for node in $(seq $nodes); do
        end "$dir/slurmd-t$node.pid" slurmd
    done
    end "$dir/slurmctld.pid" slurmctld
    end "$dir/munge/pid" munged
}

"$action"
