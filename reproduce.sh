#!/usr/bin/env bash
# ./reproduce.sh                   installs, builds, and runs the papers scaled down on real images; report in runs/report.html
# ./reproduce.sh paper [WHAT …]    the papers' settings on CIFAR-100 and Tiny-ImageNet. WHAT: reviewkd, ktg, feed, mhgd (all rows of
#                                  data/paper/WHAT.csv that are trainings of this program's networks; all four by default),
#                                  ktg-search, or a row's id
#     [--seeds N] [--device D]     N seeds a row (default 1); where to compute
#     [--jobs J]                   trials of the search at a time (default 1)
# Runs that are finished are skipped, interrupted ones go on where they were.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")"

say() { printf '\n== %s\n' "$*"; }

# train_once FOLDER SUBCOMMAND OPTION…: a run that is finished is skipped, one that was interrupted is resumed. A search is a run, too; a
# sweep and a chain are folders of runs, and go on with all their options.
train_once() {
    local folder=$1 subcommand finished
    read -ra subcommand <<< "$2"
    shift 2
    for finished in result search sweep; do
        if [ -f "$folder/$finished.csv" ]; then echo "$folder: finished before, skipped"; return; fi
    done
    if [ -f "$folder/config.csv" ]; then ./distill "${subcommand[@]}" --resume --run "$folder"; return; fi
    if [ -d "$folder" ]; then ./distill "${subcommand[@]}" --resume --run "$folder" "$@"; return; fi
    ./distill "${subcommand[@]}" --run "$folder" "$@"
}

prepare() {
    say "packages and build"
    local as_root=""
    [ "$(id -u)" = 0 ] || as_root=sudo
    command -v make > /dev/null || { $as_root apt-get update -q && $as_root apt-get install -qy --no-install-recommends make; }
    make deps
    make
}

# The scaled-down run: each training on one thread, its seeds side by side, so that results do not depend on the number of cores.
quick_runs=runs/fashion16
quick_recipe=(--dataset fashion16 --epochs 12 --lr-steps "8,10" --batch 64 --lr 0.05 --nesterov on --threads 1)
quick_student=("${quick_recipe[@]}" --per-class 100 --runs 3 --side-by-side 3)

quick() {
    local start=$SECONDS
    cat <<'TEXT'
distill, scaled down: 3,000 training and 3,000 test images of fashion-mnist (10 classes, 16x16), three seeds.
  ReviewKD, FEED, MHGD  one student, resnet8, of 100 images a class, 12 epochs: alone, by KD, ReviewKD and MHGD from a teacher resnet20
                        that saw all training images, by FEED from one and from two of them, by Factor Transfer.
  KTG                   a search over 8 graphs of 2 nodes around resnet8a, 3 epochs of all images; the best beside plain training, KD
                        and mutual learning.
Expected: 5 minutes on two AVX-512 cores, the build included; no GPU, no network beyond the package manager.
TEXT
    prepare
    say "data"
    if [ -f data/fashion16/meta.csv ]; then echo "data/fashion16 is there"; else
        ./distill data import fashion-mnist --dataset fashion16 --size 16 --limit 300
    fi
    quick_students
    quick_ktg
    say "report"
    ./distill report $quick_runs --csv runs/report.csv --html runs/report.html
    echo "whole time: $(((SECONDS - start) / 60)) min $(((SECONDS - start) % 60)) s; the page: runs/report.html"
}

quick_students() {
    local teacher=$quick_runs/teachers/s0/student.safetensors
    local from=(--student resnet8 --teacher resnet20 --teacher-weights $teacher)
    say "two teachers: resnet20"
    train_once $quick_runs/teachers train "${quick_recipe[@]}" --net resnet20 --runs 2 --side-by-side 2
    say "student alone: resnet8"
    train_once $quick_runs/alone train "${quick_student[@]}" --net resnet8
    say "KD"
    train_once $quick_runs/kd kd "${quick_student[@]}" "${from[@]}"
    say "ReviewKD"
    train_once $quick_runs/reviewkd reviewkd "${quick_student[@]}" "${from[@]}"
    say "MHGD"
    train_once $quick_runs/mhgd mhgd "${quick_student[@]}" "${from[@]}" --crop-pad zero --mha-epochs 3
    say "Factor Transfer"
    train_once $quick_runs/ft "kd --method ft" "${quick_student[@]}" "${from[@]}" --paraphraser-epochs 3
    say "FEED: from one teacher and from both"
    train_once $quick_runs/feed "feed sweep" "${quick_student[@]}" --student resnet8 --teachers "$teacher,${teacher/s0/s1}"
}

# KTG's own training but for its length: pixels in 0..1, reflect padding.
quick_ktg() {
    say "search: 8 graphs of 2 nodes; the best trained again beside plain training, KD and mutual learning"
    train_once $quick_runs/ktg "ktg search" --dataset fashion16 --epochs 3 --lr-steps "1,2" --nodes 2 --target resnet8a \
        --models resnet8a,resnet14a --trials 8 --jobs 2 --threads 2 --devices cpu --alone-batch 64 --retrain-seeds 3
}

# Rows "id command teacher student" of data/paper that are trainings of this program's networks; a graph's command is ktg-GRAPH.
paper_rows() {
    awk -F, 'FNR > 1 && $7 ~ /^top1/ {
        net = "(resnet[0-9]+(x4|a)?|wrn-[0-9]+-[0-9]+(-tiny)?|(vgg16|vgg7|vggm|mobilenet|resnet)-mhgd(-tiny)?)"
        if ($4 !~ "^(" net "([+]" net ")*)?$" || $5 !~ "^" net "$") next
        if ($1 ~ /^ktg-.*-(upper|second)$/ || $1 ~ /^mhgd-.*-heads-[08]$/) next  # the second row of the same training
        if ($6 == "teacher" || $6 == "student") command = "train"
        else if ($6 ~ /^(fitnet|at|dml|rkd)$/) next  # on file for the report only
        else if ($1 ~ /^(feed|mhgd)-/ || $6 == "kd" || $6 ~ /^ktg-/ && $6 != "ktg-search") command = $6
        else if ($6 == "reviewkd" || $6 ~ /^reviewkd-(none|r|r-res|r-res-abf|r-res-hcl)$/) command = "reviewkd"; else next
        print $1, command, $4 == "" ? "-" : $4, $5 }' data/paper/reviewkd.csv data/paper/ktg.csv data/paper/feed.csv \
        data/paper/mhgd.csv
}

# The rows asked for, one a line.
chosen_rows() {
    local all row
    all=$(paper_rows)
    for id in "$@"; do
        case $id in reviewkd | ktg | feed | mhgd) grep "^$id-" <<< "$all"; continue ;; esac
        if [ "$id" = ktg-search ]; then continue; fi
        row=$(grep -- "^$id " <<< "$all") || {
            echo "reproduce.sh: no row '$id' to train; there are: reviewkd ktg feed mhgd ktg-search $(cut -d' ' -f1 <<< "$all" | xargs)" >&2
            exit 2
        }
        echo "$row"
    done | awk '!seen[$0]++'
}

# The first row of a PAPER (an id's first word) that trains NET alone, as KIND (teacher or student).
alone_in() {
    paper_rows | awk -v paper="$1" -v net="$2" -v kind="$3" \
        '$1 ~ "^" paper "-.*-" kind "$" && $(kind == "teacher" ? 3 : 4) == net && !n++ { print $1 }'
}

# FEED's teachers of one network, in s0, s1, …: the folder that --train-teachers looks into.
feed_teachers() { echo "runs/paper/feed-teachers-$1"; }

# MHGD's teachers are trained otherwise than the benchmark's.
mhgd_teacher() { echo "runs/paper/mhgd-teacher-$1"; }

# How many networks a list NET+NET+… has.
count_of() { awk -F+ '{ print NF }' <<< "$1"; }

# Of rows on stdin: the teachers that must be there first, each once, whoever needs it: "id folder network".
teacher_rows() {
    local id command teacher student net k
    while read -r id command teacher student; do
        net=${teacher%%+*}
        case $id:$command in
            feed-*:ban | feed-*:feed-sequential)
                id=$(alone_in feed "$net" student)
                echo "$id runs/paper/$id/s0 $net" ;;
            feed-*-student:train) ;;
            feed-*)
                id=$(alone_in feed "$net" teacher)
                for ((k = 0; k < $(count_of "$teacher"); k++)); do echo "$id $(feed_teachers "$net")/s$k $net"; done ;;
            mhgd-*-student:train) ;;
            mhgd-*) echo "$(alone_in mhgd "$teacher" teacher) $(mhgd_teacher "$teacher") $teacher" ;;
            *:ktg-kd) echo "ktg-c100-$teacher-student runs/paper/ktg-c100-$teacher-student/s0 $teacher" ;;
            ktg-*) ;;
            *-teacher:train | *:kd | *:reviewkd)
                id=$(paper_rows | awk -v t="$teacher" '$1 ~ /-teacher$/ && $3 == t && !found++ { print $1 }')
                echo "$id runs/paper/teacher-$teacher $teacher" ;;
        esac
    done | sort -u
}

# The subcommand that trains a row.
subcommand_of() {
    case $1 in
        ktg-*) echo "ktg train" ;;
        feed) echo "feed parallel" ;;
        feed-sequential) echo "feed sequential" ;;
        mhgd | mhgd-heads-*) echo mhgd ;;
        ensemble | ft | ban | soft-logits | fsp | ab | kd-svd | kd-svdf) echo "kd --method $1" ;;
        *) echo "$1" ;;
    esac
}

# The networks of a graph's row, as --models takes them: TEACHER[+TEACHER…] STUDENT.
models_of() {
    awk -v t="$1" -v s="$2" 'BEGIN { n = split(t, other, "+"); printf "0=%s", s; for (i = 1; i <= n; ++i) printf ",%d=%s", i, other[i] }'
}

# Milliseconds of a step on this machine, from 3 steps measured now: what `distill bench` takes. The same step is measured once.
step_ms() {
    local figures="$measured/${*//[ \/]/_}"
    [ -f "$figures" ] || ./distill bench "$@" --steps 3 --device "$device" --csv "$figures" > /dev/null
    awk -F, 'NR == 2 { print $5 }' "$figures"
}

# Hours of a row's training at the paper's length: ID COMMAND TEACHER STUDENT. An ensemble is counted as parallel FEED with its teachers, a
# chain as its three stages, other helpers' layers not at all. Of MHGD's rows KD-SVD is counted as MHGD, the others as KD, and an epoch of
# what is trained on the teacher's maps first as one of what follows.
expected_hours() {
    local epochs=240 batch=64 images=50000 step
    case $1:$2 in
        mhgd-*) epochs=100 batch=128 ;;
        feed-*) epochs=200 batch=128 ;;
        ktg-*:train) epochs=200 batch=128 ;;
        ktg-*) epochs=200 ;;
        *:reviewkd) batch=128 ;;
    esac
    case $1:$2 in
        *:train) step=(train --net "$4") ;;
        feed-*:feed | feed-*:ensemble)
            step=(feed --teacher "${3%%+*}" --student "$4" --teachers-count "$(count_of "$3")") ;;
        feed-*:feed-sequential) epochs=600 step=(feed --teacher "$3" --student "$4" --teachers-count 1) ;;
        mhgd-*:mhgd-heads-*) epochs=140 step=(mhgd --teacher "$3" --student "$4" --heads "${2##*-}") ;;
        mhgd-*:mhgd) epochs=140 step=(mhgd --teacher "$3" --student "$4") ;;
        mhgd-*:kd-svd*) step=(mhgd --teacher "$3" --student "$4") ;;
        mhgd-*:fsp | mhgd-*:ab) epochs=140 step=(kd --teacher "$3" --student "$4") ;;
        ktg-*) step=(ktg --graph "${2#ktg-}" --models "$(models_of "$3" "$4")") ;;
        *:reviewkd) step=(reviewkd --teacher "$3" --student "$4") ;;
        *) step=(kd --teacher "$3" --student "$4") ;;
    esac
    if [[ $1 == mhgd-tiny-* ]]; then images=100000 step+=(--size 64); fi
    awk -v ms="$(step_ms "${step[@]}" --batch $batch)" -v epochs=$epochs -v images=$images -v batch=$batch \
        'BEGIN { printf "%.1f", ms * epochs * images / batch / 3.6e6 }'
}

# Hours of the search, one trial at a time: SEEDS. A trial goes past 1, 2, 4 … epochs if it is in the better half there, and has 40,000
# images. Graphs are counted as one node of each network. What else is trained costs about as much as such a graph 1.8 times (each network
# alone on 40,000 and on 50,000 images), and 3 times a seed (the best graph, mutual learning, two KDs, plain training).
search_hours() {
    local ms
    ms=$(step_ms ktg --graph dml3 --models "0=resnet32a,1=resnet110a,2=wrn-28-2" --batch 64)
    awk -v ms="$ms" -v seeds="$1" 'BEGIN {
        epochs = trials = 1500
        for (rung = 1; rung < 200; rung = next_rung) {
            next_rung = 2 * rung < 200 ? 2 * rung : 200
            trials /= 2
            epochs += trials * (next_rung - rung)
        }
        printf "%.1f", ms / 64 * (epochs * 40000 + 200 * 50000 * (1.8 + 3 * seeds)) / 3.6e6 }'
}

# The data sets of rows on stdin.
fetch_data() {
    local ids
    ids=$(cut -d' ' -f1)
    if grep -qE '^(reviewkd|ktg|feed|mhgd-c100)-' <<< "$ids" && [ ! -d data/cifar-100-binary ]; then
        say "data: CIFAR-100"
        ./distill data fetch cifar100
    fi
    if grep -q '^mhgd-tiny-' <<< "$ids" && [ ! -f data/tiny-imagenet/meta.csv ]; then
        say "data: Tiny-ImageNet"
        ./distill data fetch tiny-imagenet
        ./distill data import tiny-imagenet
    fi
}

paper() {
    local seeds=1 jobs=1 asked=() device=auto search="" rows teachers measured hours once=0 each=0
    local id folder command teacher student seed with alone
    while [ $# -gt 0 ]; do
        case $1 in
            --seeds) seeds=${2:?--seeds needs a number}; shift 2 ;;
            --jobs) jobs=${2:?--jobs needs a number}; shift 2 ;;
            --device) device=${2:?--device needs auto, cpu or cuda}; shift 2 ;;
            ktg-search) search=$1 asked+=("$1"); shift ;;
            *) asked+=("$1"); shift ;;
        esac
    done
    [ ${#asked[@]} -gt 0 ] || asked=(reviewkd ktg feed mhgd)
    rows=$(chosen_rows "${asked[@]}")
    teachers=$(teacher_rows <<< "$rows")
    rows=$(grep -v -- '-teacher ' <<< "$rows" || true)
    prepare
    printf '%s\n' "$search" "$rows" "$teachers" | fetch_data

    say "expected hours on this machine"
    measured=$(mktemp -d)
    while read -r id folder teacher; do
        if [ -z "$id" ] || grep -q "^$id " <<< "$rows"; then continue; fi
        hours=$(expected_hours "$id" train "" "$teacher")
        printf '%8s h  teacher %s\n' "$hours" "$teacher"
        once=$(awk -v a="$once" -v b="$hours" 'BEGIN { print a + b }')
    done <<< "$teachers"
    while read -r id command teacher student; do
        [ -n "$id" ] || continue
        hours=$(expected_hours "$id" "$command" "$teacher" "$student")
        printf '%8s h  %s\n' "$hours" "$id"
        each=$(awk -v a="$each" -v b="$hours" 'BEGIN { print a + b }')
    done <<< "$rows"
    if [ -n "$search" ]; then
        hours=$(search_hours "$seeds")
        printf '%8s h  ktg-search: 1500 trials, then its best graph and the known methods with %d seed(s) each\n' "$hours" "$seeds"
        once=$(awk -v a="$once" -v b="$hours" 'BEGIN { print a + b }')
    fi
    awk -v a="$once" -v b="$each" -v n="$seeds" \
        'BEGIN { printf "%8.1f h  in all: teachers and search %.1f, the rest %.1f times %d seed(s)\n", a + b * n, a, b, n }'
    rm -rf "$measured"

    while read -r id folder teacher; do
        [ -n "$id" ] || continue
        say "teacher $teacher: $folder"
        seed=0
        case $folder in */s[0-9]) seed=${folder##*/s} ;; esac
        train_once "$folder" train --preset "$id" --seed "$seed" --device "$device"
    done <<< "$teachers"
    while read -r id command teacher student; do
        [ -n "$id" ] || continue
        case $id:$command in
            feed-*:feed | feed-*:ensemble) with=(--teachers-run "$(feed_teachers "${teacher%%+*}")") ;;
            feed-*:kd | feed-*:ft) with=(--teacher-weights "$(feed_teachers "$teacher")/s0/student.safetensors") ;;
            feed-*:ban | feed-*:feed-sequential)
                alone=runs/paper/$(alone_in feed "$teacher" student)/s0/student.safetensors
                if [ "$command" = ban ]; then with=(--teacher-weights "$alone"); else with=(--teachers "$alone"); fi ;;
            mhgd-*:train) with=() ;;
            mhgd-*) with=(--teacher-weights "$(mhgd_teacher "$teacher")/student.safetensors") ;;
            *:kd | *:reviewkd) with=(--teacher-weights "runs/paper/teacher-$teacher/student.safetensors") ;;
            *:ktg-kd) with=(--weights "1=runs/paper/ktg-c100-$teacher-student/s0/student.safetensors") ;;
            *) with=() ;;
        esac
        for ((seed = 0; seed < seeds; seed++)); do
            say "$id, seed $seed"
            train_once "runs/paper/$id/s$seed" "$(subcommand_of "$command")" --preset "$id" --seed "$seed" --device "$device" \
                ${with[@]+"${with[@]}"}
        done
    done <<< "$rows"
    if [ -n "$search" ]; then
        say "search for the best graph around resnet32a"
        train_once runs/paper/ktg-search "ktg search" --dataset cifar100 --trials 1500 --retrain-seeds "$seeds" --jobs "$jobs" \
            --devices "${device/cuda/auto}"
    fi
    say "report"
    ./distill report runs/paper --csv runs/paper.csv --html runs/paper.html
    echo "the page: runs/paper.html"
}

case ${1:-} in
    "") quick ;;
    paper) shift; paper "$@" ;;
    *) sed -n '2,8s/^# //p' "$0" >&2; exit 2 ;;
esac
