#!/usr/bin/env bash
# ./reproduce.sh                                    installs, builds, and runs ReviewKD scaled down on real images; report in runs/report.html
# ./reproduce.sh paper [reviewkd|ROW-ID …]          the paper's settings on CIFAR-100; rows of data/paper/*.csv, all that this program has networks for
#                [--seeds N] [--device D]           N seeds a row (default 1); where to compute
# Runs that are finished are skipped, interrupted ones go on where they were.
set -euo pipefail
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
    make deps
    make
}

quick() {
    local start=$SECONDS data=data/fashion-quick epochs="--epochs 8 --lr-steps 5,7"
    cat <<'TEXT'
distill, scaled down: 5,000 training and 5,000 test images of fashion-mnist (10 classes, 32x32), teacher resnet20, student resnet8,
8 epochs, 2 seeds. Expected: 5 to 9 minutes on two cores, the build included; no GPU, no network beyond the package manager.
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
        if ($4 !~ net || $5 !~ net || $4 == "resnet50") next
        if ($6 == "teacher" || $6 == "student") command = "train"; else if ($6 == "kd") command = "kd"
        else if ($6 == "reviewkd" || $6 ~ /^reviewkd-(none|r|r-res|r-res-abf|r-res-hcl)$/) command = "reviewkd"; else next
        print $1, command, $4, $5 }' data/paper/reviewkd.csv
}

# milliseconds a step of a row takes on this machine, times the steps of 240 epochs of 50,000 images: hours.
expected_hours() {
    local command=$1 teacher=$2 student=$3 batch=$4 figures
    figures=$(mktemp)
    ./distill bench "$command" $([ "$command" = train ] || echo --teacher "$teacher") --student "$student" --batch "$batch" --steps 3 \
        --device "$device" --csv "$figures" > /dev/null
    awk -F, -v batch="$batch" 'NR == 2 { printf "%.1f", $5 * 240 * 50000 / batch / 3.6e6 }' "$figures"
    rm -f "$figures"
}

paper() {
    local seeds=1 asked=() device=auto
    while [ $# -gt 0 ]; do
        case $1 in
            --seeds) seeds=${2:?--seeds needs a number}; shift 2 ;;
            --device) device=${2:?--device needs auto, cpu or cuda}; shift 2 ;;
            *) asked+=("$1"); shift ;;
        esac
    done
    local rows
    rows=$(paper_rows)
    if [ ${#asked[@]} -gt 0 ] && [ "${asked[*]}" != reviewkd ]; then
        local chosen="" row
        for id in "${asked[@]}"; do
            row=$(grep -- "^$id " <<< "$rows") || { echo "reproduce.sh: no row '$id' to train; there are: reviewkd $(cut -d' ' -f1 <<< "$rows" | xargs)" >&2; exit 2; }
            chosen+="$row"$'\n'
        done
        rows=$chosen
    fi
    prepare
    if [ ! -d data/cifar-100-binary ]; then say "data"; ./distill data fetch cifar100; fi

    say "expected hours on this machine, a seed each (240 epochs; measured now with 3 steps a row; every teacher once)"
    local total=0 batch hours
    declare -A known
    while read -r id command teacher student; do
        [ -n "$id" ] || continue
        batch=64; [ "$command" = reviewkd ] && batch=128
        case $id in *-teacher) student=$teacher ;; esac
        local case="$command $teacher $student"; [ "$command" = train ] && case="train $student"
        case $id in *-teacher) [ -z "${known[$case]:-}" ] || continue ;; esac
        [ -n "${known[$case]:-}" ] || known[$case]=$(expected_hours "$command" "$teacher" "$student" $batch)
        printf '%8s h  %s\n' "${known[$case]}" "$id"
        total=$(awk -v a="$total" -v b="${known[$case]}" 'BEGIN { print a + b }')
    done <<< "$rows"
    awk -v t="$total" -v n="$seeds" 'BEGIN { printf "%8.1f h  in all, times %d seed(s) = %.1f h\n", t, n, t * n }'

    while read -r id command teacher student; do
        [ -n "$id" ] || continue
        local weights=runs/paper/teacher-$teacher
        if [ ! -f "$weights/result.csv" ]; then
            say "teacher $teacher"
            local teacher_id
            teacher_id=$(paper_rows | awk -v t="$teacher" '$1 ~ /-teacher$/ && $3 == t { print $1; exit }')
            train_once "$weights" train --preset "$teacher_id" --device "$device"
        fi
        case $id in *-teacher) continue ;; esac
        for ((seed = 0; seed < seeds; seed++)); do
            say "$id, seed $seed"
            train_once "runs/paper/$id/s$seed" "$command" --preset "$id" --seed "$seed" --device "$device" \
                $([ "$command" = train ] || echo --teacher-weights "$weights/student.safetensors")
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
