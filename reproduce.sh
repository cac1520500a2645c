#!/usr/bin/env bash
# ./reproduce.sh                                    installs, builds, and runs ReviewKD scaled down on real images; report in runs/report.html
# ./reproduce.sh paper [reviewkd|ROW-ID …]          the paper's settings on CIFAR-100; rows of data/paper/*.csv, all that this program has networks for
#                [--seeds N] [--device D]           N seeds a row (default 1); where to compute
# Runs that are finished are skipped, interrupted ones go on where they were.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")"

say() { printf '\n== %s\n' "$*"; }

# train_once FOLDER SUBCOMMAND OPTION…: a run that is finished is skipped, one that was interrupted is resumed.
train_once() {
    local folder=$1 subcommand=$2
    shift 2
    if [ -f "$folder/result.csv" ]; then echo "$folder: finished before, skipped"; return; fi
    if [ -f "$folder/config.csv" ]; then ./distill "$subcommand" --resume --run "$folder"; return; fi
    ./distill "$subcommand" --run "$folder" "$@"
}

prepare() {
    say "packages and build"
    local as_root=""
    [ "$(id -u)" = 0 ] || as_root=sudo
    command -v make > /dev/null || { $as_root apt-get update -q && $as_root apt-get install -qy --no-install-recommends make; }
    make deps
    make
}

quick() {
    local start=$SECONDS data=data/fashion-quick epochs="--epochs 6 --lr-steps 4,5 --batch 128 --lr 0.1 --nesterov on"
    cat <<'TEXT'
distill, scaled down: 5,000 training and 5,000 test images of fashion-mnist (10 classes, 32x32), teacher resnet20, student resnet8,
6 epochs at batch 128, 2 seeds. Expected: 4 to 9 minutes on two cores, the build included; no GPU, no network beyond the package manager.
TEXT
    prepare
    say "data"
    if [ ! -f $data/meta.csv ]; then ./distill data import fashion-mnist --dataset fashion-quick --limit 500; else echo "$data is there"; fi

    say "teacher: resnet20"
    local common="--dataset fashion-quick $epochs" teacher=runs/quick/teacher
    train_once $teacher train $common --net resnet20
    local from="--teacher resnet20 --teacher-weights $teacher/student.safetensors --teacher-min 60"
    for seed in 0 1; do
        say "student alone: resnet8, seed $seed"
        train_once runs/quick/student/s$seed train $common --net resnet8 --seed $seed
        say "KD: resnet20 -> resnet8, seed $seed"
        train_once runs/quick/kd/s$seed kd $common --student resnet8 $from --seed $seed
        # The paper's warm-up of the review loss is 20 of 240 epochs.
        say "ReviewKD: resnet20 -> resnet8, seed $seed"
        train_once runs/quick/reviewkd/s$seed reviewkd $common --student resnet8 $from --kd-warmup 1 --seed $seed
    done
    say "report"
    ./distill report runs/quick --csv runs/report.csv --html runs/report.html
    echo "whole time: $(((SECONDS - start) / 60)) min $(((SECONDS - start) % 60)) s; the page: runs/report.html"
}

# Rows "id subcommand teacher student" of data/paper that are trainings of this program's networks.
paper_rows() {
    awk -F, 'NR > 1 && $7 != "metric" {
        net = "^(resnet[0-9]+(x4|a)?|wrn-[0-9]+-[0-9]+)$"
        if ($4 !~ net || $5 !~ net) next
        if ($6 == "teacher" || $6 == "student") command = "train"; else if ($6 == "kd") command = "kd"
        else if ($6 == "reviewkd" || $6 ~ /^reviewkd-(none|r|r-res|r-res-abf|r-res-hcl)$/) command = "reviewkd"; else next
        print $1, command, $4, $5 }' data/paper/reviewkd.csv
}

# Hours that 240 epochs of 50,000 images take on this machine, from 3 steps measured now: SUBCOMMAND TEACHER STUDENT BATCH.
expected_hours() {
    local figures
    figures=$(mktemp)
    ./distill bench "$1" $([ "$1" = train ] || echo --teacher "$2") --student "$3" --batch "$4" --steps 3 --device "$device" \
        --csv "$figures" > /dev/null
    awk -F, -v batch="$4" 'NR == 2 { printf "%.1f", $5 * 240 * 50000 / batch / 3.6e6 }' "$figures"
    rm -f "$figures"
}

# The rows asked for, one a line: `reviewkd` is all of them.
chosen_rows() {
    local all row
    all=$(paper_rows)
    for id in "${@:-reviewkd}"; do
        if [ "$id" = reviewkd ]; then echo "$all"; continue; fi
        row=$(grep -- "^$id " <<< "$all") || {
            echo "reproduce.sh: no row '$id' to train; there are: reviewkd $(cut -d' ' -f1 <<< "$all" | xargs)" >&2
            exit 2
        }
        echo "$row"
    done | awk '!seen[$0]++'
}

paper() {
    local seeds=1 asked=() device=auto rows teachers hours once=0 each=0 weights id command teacher student seed
    while [ $# -gt 0 ]; do
        case $1 in
            --seeds) seeds=${2:?--seeds needs a number}; shift 2 ;;
            --device) device=${2:?--device needs auto, cpu or cuda}; shift 2 ;;
            *) asked+=("$1"); shift ;;
        esac
    done
    rows=$(chosen_rows ${asked[@]+"${asked[@]}"})
    teachers=$(awk '$1 ~ /-teacher$/ || $2 != "train" { print $3 }' <<< "$rows" | sort -u)  # each is trained once, whoever needs it
    rows=$(grep -v -- '-teacher ' <<< "$rows" || true)
    prepare
    if [ ! -d data/cifar-100-binary ]; then say "data"; ./distill data fetch cifar100; fi

    say "expected hours on this machine (240 epochs each)"
    for teacher in $teachers; do
        hours=$(expected_hours train "" "$teacher" 64)
        printf '%8s h  teacher %s\n' "$hours" "$teacher"
        once=$(awk -v a="$once" -v b="$hours" 'BEGIN { print a + b }')
    done
    while read -r id command teacher student; do
        [ -n "$id" ] || continue
        hours=$(expected_hours "$command" "$teacher" "$student" $([ "$command" = reviewkd ] && echo 128 || echo 64))
        printf '%8s h  %s\n' "$hours" "$id"
        each=$(awk -v a="$each" -v b="$hours" 'BEGIN { print a + b }')
    done <<< "$rows"
    awk -v a="$once" -v b="$each" -v n="$seeds" 'BEGIN { printf "%8.1f h  in all: teachers %.1f, the rest %.1f times %d seed(s)\n", a + b * n, a, b, n }'

    for teacher in $teachers; do
        say "teacher $teacher"
        id=$(paper_rows | awk -v t="$teacher" '$1 ~ /-teacher$/ && $3 == t { print $1; exit }')
        train_once "runs/paper/teacher-$teacher" train --preset "$id" --device "$device"
    done
    while read -r id command teacher student; do
        [ -n "$id" ] || continue
        weights=runs/paper/teacher-$teacher/student.safetensors
        for ((seed = 0; seed < seeds; seed++)); do
            say "$id, seed $seed"
            train_once "runs/paper/$id/s$seed" "$command" --preset "$id" --seed "$seed" --device "$device" \
                $([ "$command" = train ] || echo --teacher-weights "$weights")
        done
    done <<< "$rows"
    say "report"
    ./distill report runs/paper --csv runs/paper.csv --html runs/paper.html
    echo "the page: runs/paper.html"
}

case ${1:-} in
    "") quick ;;
    paper) shift; paper "$@" ;;
    *) sed -n '2,5s/^# //p' "$0" >&2; exit 2 ;;
esac
