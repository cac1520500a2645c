#!/usr/bin/env bash
# ./reproduce.sh                   installs, builds, and runs the papers scaled down on real images; report in runs/report.html
# ./reproduce.sh paper [WHAT …]    the papers' settings on CIFAR-100 and Tiny-ImageNet, as `distill paper rows` has them. WHAT: a row's id, or
#                                  reviewkd, ktg, feed, mhgd (by default all rows of these four), ktg-search, crd, hkd, ffsd
#     [--seeds N] [--device D]     N seeds a row (default 1); where to compute
#     [--jobs J]                   rows at a time (default 1)
# Runs that are finished are skipped, interrupted ones go on where they were.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")"

say() { printf '\n== %s\n' "$*"; }

prepare() {
    say "packages and build"
    local as_root=""
    [ "$(id -u)" = 0 ] || as_root=sudo
    command -v make > /dev/null || { $as_root apt-get update -q && $as_root apt-get install -qy --no-install-recommends make; }
    make deps
    if [ -e /dev/nvidiactl ] || [ -e /dev/dxg ]; then make; else make CUDA=0; fi  # without a GPU CUDA's part would take half of the time
}

# The scaled-down run: each training on one thread, its seeds side by side, so that results do not depend on the number of cores.
quick_runs=runs/fashion16
quick_recipe=(--dataset fashion16 --epochs 12 --lr-steps "8,10" --batch 64 --lr 0.05 --nesterov on --threads 1)
quick_student=("${quick_recipe[@]}" --per-class 100 --runs 3 --side-by-side 3)

# train FOLDER SUBCOMMAND OPTION…
train() { ./distill "${@:2}" --run "$quick_runs/$1" --auto-resume; }

quick() {
    local start=$SECONDS
    cat <<'TEXT'
distill, scaled down: 3,000 training and 3,000 test images of fashion-mnist (10 classes, 16x16), three seeds.
  ReviewKD, FEED, MHGD  one student, resnet8, of 100 images a class, 12 epochs: alone, by KD, ReviewKD and MHGD from a teacher resnet20
                        that saw all training images, by FEED from one and from two of them, by Factor Transfer.
  KTG                   a search over 8 graphs of 2 nodes around resnet8a, 3 epochs of four fifths of all images; the best, trained on
                        all, beside plain training, KD and mutual learning.
Expected: 4 to 6 minutes on two AVX-512 cores, the build included; no GPU, no network beyond the package manager.
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
    train teachers train "${quick_recipe[@]}" --net resnet20 --runs 2 --side-by-side 2
    say "student alone: resnet8"
    train alone train "${quick_student[@]}" --net resnet8
    say "KD"
    train kd kd "${quick_student[@]}" "${from[@]}"
    say "ReviewKD"
    train reviewkd reviewkd "${quick_student[@]}" "${from[@]}"
    say "MHGD"
    train mhgd mhgd "${quick_student[@]}" "${from[@]}" --crop-pad zero --mha-epochs 3
    say "Factor Transfer"
    train ft ft "${quick_student[@]}" "${from[@]}" --paraphraser-epochs 3
    say "FEED: from one teacher and from both"
    train feed feed sweep "${quick_student[@]}" --student resnet8 --teachers "$teacher,${teacher/s0/s1}"
}

# KTG's own training but for its length: pixels in 0..1, reflect padding.
quick_ktg() {
    say "search: 8 graphs of 2 nodes; the best trained again beside plain training, KD and mutual learning"
    train ktg ktg search --dataset fashion16 --epochs 3 --lr-steps "1,2" --nodes 2 --target resnet8a \
        --models resnet8a,resnet14a --trials 8 --jobs 2 --threads 2 --devices cpu --normalize none --alone-batch 64 --retrain-seeds 3
}

# The data sets of rows on stdin, as `distill paper rows` prints them.
fetch_data() {
    local set there
    for set in $(awk -F, 'NR > 1 && $1 { print $3 }' | sort -u); do
        case $set in
            cifar10) there=data/cifar-10-batches-bin ;;
            cifar100) there=data/cifar-100-binary ;;
            *) there=data/$set/meta.csv ;;
        esac
        if [ -e "$there" ]; then continue; fi
        say "data: $set"
        ./distill data fetch "$set"
        if [ ! -e "$there" ]; then ./distill data import "$set"; fi
    done
}

# Each row is a command line that starts its run, goes on with it, or leaves it; all of a step may run at once.
paper() {
    local jobs=1 rows=() more=() step last failed=0
    while [ $# -gt 0 ]; do
        case $1 in
            --jobs) jobs=${2:?--jobs needs a number}; shift 2 ;;
            --seeds | --device) more+=("$1" "${2:?$1 needs a value}"); shift 2 ;;
            *) rows+=("$1"); shift ;;
        esac
    done
    [ ${#rows[@]} -gt 0 ] || rows=(reviewkd ktg feed mhgd)
    prepare
    rows=("${rows[@]}" ${more[@]+"${more[@]}"})
    ./distill paper rows "${rows[@]}" | fetch_data
    say "expected hours on this machine"
    ./distill paper rows "${rows[@]}" --hours
    last=$(./distill paper rows "${rows[@]}" | awk -F, 'NR > 1 && $1 > last { last = $1 } END { print last + 0 }')
    for ((step = 1; step <= last; step++)); do
        say "step $step of $last"
        # A row that fails, or crashes, does not keep the others from running; an interruption (3, or by HUP, INT or TERM) does.
        ./distill paper rows "${rows[@]}" --step "$step" --commands | xargs -r -d '\n' -n 1 -P "$jobs" bash -c '
            echo "$0"; eval "$0" && exit 0; code=$?
            case $code in 3 | 129 | 130 | 143) exit 255 ;; *) exit 1 ;; esac' || failed=$?
        if [ "$failed" -gt 123 ]; then echo "interrupted; go on with the same command" >&2; exit 3; fi
    done
    say "report"
    ./distill report runs/paper --csv runs/paper.csv --html runs/paper.html
    echo "the page: runs/paper.html"
    if [ "$failed" -ne 0 ]; then echo "some rows failed: their complaints are above" >&2; exit 1; fi
}

case ${1:-} in
    "") quick ;;
    paper) shift; paper "$@" ;;
    *) sed -n '2,7s/^# //p' "$0" >&2; exit 2 ;;
esac
