#!/usr/bin/env bash
# study.sh: the one study on CIFAR-100 that the methods are compared in; docs/results.md, "The one study".
#
#   tools/study.sh [--data DIR] [--runs DIR] [--threads N] [PART …]
#
# PART: alone kd reviewkd feed ktg mhgd within across hkd online stopping; by default all, in this order. What is finished is skipped,
# what was cut off goes on; so it may be stopped and started at any time, and two of them may work on different parts once the teachers
# are there. On another machine it goes on from the table: first `tools/runs_csv.py --unpack data/measured/study.csv DIR`; a search that is
# not finished has its trials in no table, and goes on from a copy of its folder alone. Ends with the table and RUNS.csv, a row a run.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
data=data runs=runs/study threads=1
while [[ ${1:-} == --* ]]; do
    case $1 in
        --data) data=${2:?--data needs a folder} ;;
        --runs) runs=${2:?--runs needs a folder} ;;
        --threads) threads=${2:?--threads needs a number} ;;
        *) echo "study.sh: unknown option $1; valid are --data, --runs, --threads" >&2; exit 2 ;;
    esac
    shift 2
done
runs=${runs%/}
all="alone kd reviewkd feed ktg mhgd within across hkd online stopping"
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=($all)
for part in "${parts[@]}"; do
    if [[ ! $part =~ ^[a-z]+$ || " $all " != *" $part "* ]]; then
        echo "study.sh: unknown part '$part'; there are: $all; options stand before them" >&2
        exit 2
    fi
done

# One recipe for all but KTG: the CRD benchmark's training (--recipe crd; docs/papers.md §7), 240 epochs scaled to 30. Students see the first
# 100 images of each class, the teachers of the resnets all 500.
recipe=(--data "$data" --dataset cifar100 --epochs 30 --lr-steps 18,22,26 --batch 64 --lr 0.05 --nesterov off
        --normalize 129.3105,124.1085,112.404,68.2125,65.4075,70.4055 --threads "$threads" --quiet)
fifth=("${recipe[@]}" --per-class 100)
# KTG's own training, of 16 epochs.
search=(ktg search --data "$data" --dataset cifar100 --per-class 100 --nodes 2 --target resnet8 --models resnet8,resnet20 --epochs 16
        --best 1 --retrain-seeds 5 --devices cpu --quiet)
mkdir -p "$runs"

# Is it a search of which a table has the last trainings alone?
unpacked_search() { [ -d "$1/retrained" ] && [ ! -e "$1/config.csv" ]; }
finished() { [ -e "$runs/$1/result.csv" ] || [ -e "$runs/$1/search.csv" ] || unpacked_search "$runs/$1"; }
# train RUN COMMAND…: trains RUN, goes on with it, or leaves it, if it is finished.
train() {
    local run=$1
    shift
    if finished "$run"; then return; fi
    echo "$(date +%H:%M:%S) $runs/$run"
    "$here/distill" "$@" --run "$runs/$run" --auto-resume >> "$runs/log.txt"
}
# Are all $seeds of a group finished, in its folder or in one beside it (-again)?
settled() {
    local folder s
    for folder in "$1" "$1-again" "$1-again-again"; do
        for s in $seeds; do finished "$folder/s$s" || continue 2; done
        return 0
    done
    return 1
}
# Where a teacher, or a search whose graphs are wanted, is or will be: made again beside its rows, where those were unpacked from a table and
# have neither weights nor graphs.
place() {
    local run=$1
    while [ -e "$runs/$run/result.csv" ] && [ ! -e "$runs/$run/student.safetensors" ] || unpacked_search "$runs/$run"; do run+=-again; done
    echo "$run"
}
file() { echo "$runs/$(place "$1")/student.safetensors"; }
teacher() {
    case $1 in
        wrn-16-2) train "$(place "$1")" train --net "$1" "${fifth[@]}" --seed 0 ;;
        *) train "$(place "$1")" train --net resnet20 "${recipe[@]}" --seed "${1#teacher}" ;;
    esac
}
# taught TEACHERS GROUP COMMAND…: trains seed $s of a group that is not settled, and first its teachers. The seeds of a group have the
# same files of teachers: where there are some of others, all are trained in a folder beside it. $beside: so is a settled group whose
# teachers are there and are others, since it is set beside those that have them.
taught() {
    local teachers=$1 group=$2 name files=() theirs ours
    shift 2
    if settled "$group" && { [ -z "$beside" ] || [ ! -e "$(file $teachers)" ]; }; then return; fi
    for name in $teachers; do
        teacher "$name"
        files+=("$(file "$name")")
    done
    ours=$(sha256sum "${files[@]}" | cut -c-64 | sort -u)
    while theirs=$(cat "$runs/$group"/s*/config.csv 2> /dev/null | sed -n 's/^info\.teacher[0-9]*_sha256,//p' | sort -u)
        [ -n "$theirs" ] && [ "$theirs" != "$ours" ]; do
        [ -e "$runs/$group-again" ] || echo "$group has seeds of another teacher: all of them again in $group-again"
        group+=-again
    done
    train "$group/s$s" "$@" --seed "$s"
}
from=(--student resnet8 --teacher resnet20 --teacher-weights "$(file teacher0)")
beside=

for part in "${parts[@]}"; do
    case $part in
        alone) for s in 0 1 2 3 4; do train "alone/s$s" train --net resnet8 "${fifth[@]}" --seed $s; done ;;
        kd | reviewkd)
            with=("${from[@]}")
            [ "$part" = kd ] || with+=(--kd-weight 1 --kd-warmup 3)
            seeds="0 1 2 3 4"
            for s in $seeds; do taught teacher0 "$part" "$part" "${fifth[@]}" "${with[@]}"; done ;;
        feed)
            teachers="teacher0 teacher1 teacher2"
            three=$(file teacher0),$(file teacher1),$(file teacher2)
            seeds="0 1 2 3 4"
            for s in $seeds; do
                taught teacher0 feed1 feed parallel "${fifth[@]}" --student resnet8 --teachers "$(file teacher0)"
                taught "$teachers" feed3 feed parallel "${fifth[@]}" --student resnet8 --teachers "$three"
            done
            # What FEED of three is to be set beside: the mean of the same three's logits; and one teacher whose layer weighs three times as
            # much, since the paper's sum over teachers grows with them.
            seeds="0 1 2"
            for s in $seeds; do
                taught "$teachers" ensemble3 ensemble "${fifth[@]}" --student resnet8 --teachers "$three"
                taught teacher0 feed1-1500 feed parallel "${fifth[@]}" --student resnet8 --teachers "$(file teacher0)" --beta 1500
            done ;;
        ktg) train ktg "${search[@]}" --trials 200 --jobs 2 --threads $((2 * threads)) ;;
        hkd)
            seeds="0 1 2 3 4"
            for s in $seeds; do
                taught teacher0 hkd hkd "${fifth[@]}" "${from[@]}"
                taught teacher0 hkd-kd hkd "${fifth[@]}" "${from[@]}" --alpha 1
            done
            # The memories meet an image once an epoch, 30 times instead of 240: does it matter? 0.43 = 0.9^(240/30), after an epoch what
            # the authors' have after 8. Ours.
            seeds="0 1 2"
            for s in $seeds; do taught teacher0 hkd-quick hkd "${fifth[@]}" "${from[@]}" --memory-momentum 0.43; done ;;
        online)  # without a teacher, by the one recipe; mutual learning at the temperature of FFSD's students
            with=(--weight-decay 0.0005 --crop-pad zero --drop-last off)
            for s in 0 1 2 3 4; do
                train "ffsd/s$s" ffsd "${fifth[@]}" "${with[@]}" --net resnet8 --seed $s
                train "dml/s$s" ktg train --graph dml --models 0=resnet8,1=resnet8 --temperature 2 "${fifth[@]}" "${with[@]}" --seed $s
            done ;;
        stopping)  # do stopped trials miss what acts late? The same epochs in fewer trials that run to their end
            # Gates alone are asked about, so both nodes are of one network. A search of the same seed draws the same graphs and trains them
            # alike, as far as it trains them; `ktg show` replays stopping on those that ran to their end. The known methods are trained
            # once in each search (by equal seed the same bits twice), the winners five times more, with seeds that did not choose them.
            seeds="5 6 7 8 9"
            for s in 1 2; do
                if settled "ktg-stopped-best/s$s" && settled "ktg-whole-best/s$s" && finished "ktg-stopped/s$s" && finished "ktg-whole/s$s"
                then continue; fi
                same=(--models resnet8 --retrain-seeds 1 --threads "$threads" --seed $s)
                stopped=$(place "ktg-stopped/s$s") whole=$(place "ktg-whole/s$s")
                train "$stopped" "${search[@]}" "${same[@]}" --trials 120
                trials=$(awk -F, '$3 > 0 {most[$1] = $3} $2 == "started" {number[++n] = $1}
                                 END {for (t in most) sum += most[t]; print number[int(sum / 16 + 0.5)] + 1}' \
                             "$runs/$stopped/journal.csv")
                train "$whole" "${search[@]}" "${same[@]}" --stopping off --trials "$trials"
                for how in stopped whole; do
                    if settled "ktg-$how-best/s$s"; then continue; fi
                    best=${!how#*/}  # s1, or s1-again, whose graph may be another
                    for again in $seeds; do
                        train "ktg-$how-best/$best/s$again" ktg train --graph "$runs/${!how}/best1.csv" --data "$data" \
                            --dataset cifar100 --per-class 100 --epochs 16 --threads "$threads" --quiet --seed $again --id "ktg-$how-$best"
                    done
                done
            done ;;
        mhgd)  # a teacher that is clearly better, of the same images and widths: attention on its maps is given to the student's
            with=(--student wrn-10-2 --teacher wrn-16-2 --teacher-weights "$(file wrn-16-2)")
            seeds="0 1 2"
            for s in $seeds; do
                train "wrn-alone/s$s" train --net wrn-10-2 "${fifth[@]}" --seed $s
                taught wrn-16-2 wrn-kd kd "${fifth[@]}" "${with[@]}"
                taught wrn-16-2 wrn-mhgd mhgd "${fifth[@]}" "${with[@]}" --crop-pad zero --mha-epochs 10
            done ;;
        within)  # the benchmark's losses, with its weights, and DKD, with its authors' β of both pairs of this family; first phases of 30
            # epochs before 240 are of 4 before 30. KD and ReviewKD, which they are set beside, have their teacher.
            seeds="0 1 2 3 4" beside=1
            for s in $seeds; do
                for method in at sp cc vid rkd pkt nst fitnet crd; do taught teacher0 "$method" $method "${fifth[@]}" "${from[@]}"; done
                taught teacher0 dkd dkd "${fifth[@]}" "${from[@]}" --beta 2
                for method in ab fsp; do
                    taught teacher0 "$method" $method "${fifth[@]}" "${from[@]}" --recipe crd --init-epochs 4
                done
                taught teacher0 ft ft "${fifth[@]}" "${from[@]}" --recipe crd --paraphraser-epochs 4 --paraphraser-lr 0.01
                taught teacher0 kd-svd kd-svd "${fifth[@]}" "${from[@]}" --recipe crd
                taught teacher0 kd kd "${fifth[@]}" "${from[@]}"
                taught teacher0 reviewkd reviewkd "${fifth[@]}" "${from[@]}" --kd-weight 1 --kd-warmup 3
            done
            beside= ;;
        across)  # a student of another family, at its families' lower rate; ReviewKD with weight 1, its authors' default, and 30, a third
            # party's of ResNet50 → MobileNetV2
            with=(--student MobileNetV2 --teacher resnet20 --teacher-weights "$(file teacher0)" --lr 0.01)
            seeds="0 1 2"
            for s in $seeds; do
                train "mobile-alone/s$s" train --net MobileNetV2 "${fifth[@]}" --lr 0.01 --seed $s
                for method in kd fitnet at crd dkd reviewkd; do taught teacher0 "mobile-$method" $method "${fifth[@]}" "${with[@]}"; done
                taught teacher0 mobile-reviewkd-30 reviewkd "${fifth[@]}" "${with[@]}" --kd-weight 30
            done ;;
    esac
done
"$here/distill" report "$runs" --html "$runs.html"
python3 "$here/tools/runs_csv.py" "$runs" > "$runs.csv.part"
mv "$runs.csv.part" "$runs.csv"
echo "written: $runs.html, $runs.csv"
