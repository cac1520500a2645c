#!/usr/bin/env bash
# The command lines of `distill paper rows` as jobs of engines that people have: tests/engines.sh parallel|slurm PROGRAM
#   parallel  GNU parallel, two workers
#   slurm     a Slurm job array on one node, whose daemons are started here (as root; apt-get install slurm-wlm munge)
# One job of the second step is killed and given again. It must end as if it had not been, and the report must have every run.
set -euo pipefail
shopt -s inherit_errexit
engine=$1 program=$(readlink -f "$2")
place=$(readlink -f "$(mktemp -d)")
daemons=()
finish() {
    local status=$?
    for pid in ${daemons[@]+"${daemons[@]}"}; do kill "$pid" 2> /dev/null || true; done
    for pid in ${daemons[@]+"${daemons[@]}"}; do wait "$pid" 2> /dev/null || true; done  # they write their state to the end
    if [ $status -ne 0 ]; then tail -n 20 "$place"/*.log "$place"/slurm-*.out 2> /dev/null || true; fi
    rm -rf "$place"
}
trap finish EXIT
fail() { echo "engines.sh: $*" >&2; exit 1; }
cd "$place"

seeds=2
mkdir -p data/paper
cat > data/paper/small.csv <<'ROWS'
id,table,dataset,teacher,student,method,command,options,metric,value,std,source
teacher,small,s,resnet14,resnet8,teacher,train,student=resnet14 epochs=4,top1,,,a test
alone,small,s,resnet14,resnet8,student,train,epochs=4,top1,,,a test
kd,small,s,resnet14,resnet8,kd,kd,epochs=40 teacher-weights={teacher},top1,,,a test
reviewkd,small,s,resnet14,resnet8,reviewkd,reviewkd,epochs=4 teacher-weights={teacher},top1,,,a test
ROWS
"$program" data synth --dataset s --size 16 --train 256 --test 64 --classes 4 > /dev/null
lines() { "$program" paper rows --commands --seeds $seeds --step "$1" --runs "$2" --with=--batch=32 --with=--threads=1 --with=--quiet; }
[ "$(lines 1 runs | wc -l) $(lines 2 runs | wc -l)" = "3 4" ] || fail "found $(lines 1 runs | wc -l) and $(lines 2 runs | wc -l) lines, expected 3 and 4"

# Kills a job that has begun to train kd: its folder is there, and it has epochs to go.
kill_one() {
    local pid
    for ((i = 0; i < 3000; i++)); do
        pid=$(pgrep -f -- "--run runs/kd/s1" | while read -r p; do  # the other engine's test may run beside this one
            [ "$(readlink "/proc/$p/cwd")" = "$place" ] && grep -aq "^$program" "/proc/$p/cmdline" && echo "$p"
        done 2> /dev/null | head -n 1 || true)
        if [ -n "$pid" ] && [ -s runs/kd/s1/epochs.csv ]; then kill -9 "$pid"; return; fi
        sleep 0.02
    done
    fail "no job of kd to kill"
}

case $engine in
    parallel)
        command -v parallel > /dev/null || fail "GNU parallel is not there: apt-get install parallel"
        work() { lines "$1" runs | parallel --will-cite -j2; } ;;
    slurm)
        [ "$(id -u)" = 0 ] || fail "the daemons are started as root"
        for needed in munged slurmctld slurmd sbatch; do command -v $needed > /dev/null || fail "$needed is not there: apt-get install slurm-wlm munge"; done
        chmod 755 "$place"
        mkdir -p state spool munge
        dd if=/dev/urandom of=munge/key bs=1024 count=1 2> /dev/null
        chmod 600 munge/key
        munged --foreground --force --key-file="$place/munge/key" --socket="$place/munge/socket" --pid-file="$place/munge/pid" \
            --log-file="$place/munge.log" --seed-file="$place/munge/seed" 2> /dev/null &
        daemons+=($!)
        host=$(hostname -s)
        cat > slurm.conf <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
AuthInfo=socket=$place/munge/socket
SlurmUser=root
StateSaveLocation=$place/state
SlurmdSpoolDir=$place/spool
SlurmctldPidFile=$place/slurmctld.pid
SlurmdPidFile=$place/slurmd.pid
SlurmctldLogFile=$place/slurmctld.log
SlurmdLogFile=$place/slurmd.log
SlurmctldPort=16817
SlurmdPort=16818
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc)
PartitionName=all Nodes=$host Default=YES State=UP MaxTime=INFINITE
CONF
        export SLURM_CONF=$place/slurm.conf
        for ((i = 0; i < 100; i++)); do [ -S munge/socket ] && break; sleep 0.1; done
        slurmctld -D 2> /dev/null &
        daemons+=($!)
        slurmd -D 2> /dev/null &
        daemons+=($!)
        for ((i = 0; i < 300; i++)); do sinfo -h -o %t 2> /dev/null | grep -q idle && break; sleep 0.1; done
        [[ $(sinfo -h -o %t) == *idle* ]] || fail "the node does not become idle"
        cat > job.sh <<'JOB'
#!/bin/bash
sed -n "${SLURM_ARRAY_TASK_ID}p" "$1" | bash
JOB
        work() {
            lines "$1" runs > "step$1.txt"
            sbatch --wait --parsable --cpus-per-task=1 --array="1-$(wc -l < "step$1.txt")%2" job.sh "step$1.txt" > /dev/null
        } ;;
    *) fail "unknown engine '$engine'; there are: parallel slurm" ;;
esac

work 1
kill_one &
killer=$!
if work 2 > killed.log 2>&1; then fail "the engine does not say that a job was killed"; fi
wait $killer
[ ! -f runs/kd/s1/result.csv ] || fail "the killed job has finished"
work 2

lines 2 left | grep -- ' --preset kd ' | grep -- '--seed 1 ' | sed "s|left/teacher|runs/teacher|" | bash > left.log
cmp runs/kd/s1/student.safetensors left/kd/s1/student.safetensors || fail "the killed job has other weights than one left alone"
cmp <(cut -d, -f1-9 runs/kd/s1/epochs.csv) <(cut -d, -f1-9 left/kd/s1/epochs.csv) || fail "the killed job has other epochs"
"$program" report runs --csv report.csv > report.log
runs=$(find runs -name result.csv | wc -l)
[ "$runs" = 7 ] || fail "found $runs finished runs, expected 7"
for id in alone kd reviewkd; do cut -d, -f3 report.csv | grep -qx "$id" || fail "the report lacks $id"; done
echo "$engine: 7 runs, two at a time; one was killed, given again, and ended with the bits of one left alone"
