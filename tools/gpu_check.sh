#!/usr/bin/env bash
# tools/gpu_check.sh [PART…]    what only a GPU can tell, in one command and without network; `make gpu-check` calls it.
#   tests      the CUDA half of the tests, then the rest of the fast suite on the CPU
#   sanitizer  compute-sanitizer's memcheck, racecheck and initcheck on a short ReviewKD training
#   bench      a step beside PyTorch's; eight trainings at once beside one; GPU memory
#   profile    where the time of a step goes
#   exact      the same seed twice; an interrupted training beside a whole one; the GPU beside the CPU
#   minutes    of ReviewKD at the paper's length, from the second of two epochs over 50,000 images
#   accuracy   of resnet20 on CIFAR-10 after 30 epochs, three seeds in each precision (where the data is there)
# Without a PART: all of them, in this order. Each command has a time limit; one that fails does not stop the others.
# Environment:
#   OUT=dir                 table.txt, gpu.csv, a log for the build and for each part (default build/gpu-check; other parts' logs stay);
#                           data/measured/gpu.csv gets the figures too
#   DATA=dir                holds cifar-10-batches-bin/ or cifar10-jpeg.tar.xz (default data)
#   PRECISIONS="fp32 bf16"  fewer than fp32 tf32 bf16
#   NO_BUILD=1              use the binaries that are there: built elsewhere (make ARCH=x86-64-v3 GPU_ARCHS=90) and carried
#   PYTHON, NVCC, …         as for make
#   GPU_CHECK_DEVICE=cpu    dry run: every part at toy size on the CPU; leaves data/measured alone
# Exit codes: 0 nothing missed its bound (what was skipped is in the table), 1 something did or failed, 2 no GPU or bad usage.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

all_parts="tests sanitizer bench profile exact minutes accuracy"
device=${GPU_CHECK_DEVICE:-cuda} out=${OUT:-build/gpu-check} data=${DATA:-data} python=${PYTHON:-python3}
parts=${*:-$all_parts} precisions=${PRECISIONS:-fp32 tf32 bf16}
for part in $parts; do
    case " $all_parts " in *" $part "*) ;; *) echo "$0: no part '$part'; there are: $all_parts" >&2; exit 2 ;; esac
done

case $device in
cuda)
    export CUDA_DEVICE_ORDER=PCI_BUS_ID  # as nvidia-smi counts
    first=${CUDA_VISIBLE_DEVICES-0} && first=${first%%,*}
    asked=(nvidia-smi --query-gpu=name,compute_cap --format=csv,noheader)
    found=$({ "${asked[@]}" -i "$first" || { [[ $first == MIG-* ]] && "${asked[@]}"; }; } 2> /dev/null | sed -n 1p)
    capability=$(echo "${found##*, }" | tr -d .)
    if ! [[ $capability =~ ^[0-9]+$ ]]; then
        echo "$0: no GPU here (nvidia-smi names none with its compute capability): nothing was checked" >&2
        exit 2
    fi
    gpu=${found%, *} build=build/cuda make_arguments=(CUDA=1 "GPU_ARCHS=$capability")
    steps=300 several=8 rounds=2 peer_arguments=(--steps 100) epochs=30
    large=(50000 10000 100 32) middle=(2048 128 10 32) middle_epochs=12
    teacher=resnet56 student=resnet20 wide_teacher=resnet32x4 wide_student=resnet8x4
    ;;
cpu)
    gpu="dry run on the CPU" build=build/cpu make_arguments=(CUDA=0)
    steps=2 several=2 rounds=1 peer_arguments=(--steps 1 --case train::resnet8:16) epochs=1
    large=(256 64 100 32) middle=(640 64 10 16) middle_epochs=4
    teacher=resnet14 student=resnet8 wide_teacher=resnet14 wide_student=resnet8
    ;;
*) echo "$0: GPU_CHECK_DEVICE=$device: expected cuda or cpu" >&2; exit 2 ;;
esac

# The toolkit's programs may lie beside the search path.
tool() {
    command -v "$1" || for found in {/usr/local/cuda,/usr/local/cuda-*,/opt/cuda}/bin/"$1"; do [ -x "$found" ] && echo "$found" && break; done
}
if [ -z "${NVCC:-}" ]; then NVCC=$(tool nvcc); fi
if [ -n "$NVCC" ]; then export NVCC; else unset NVCC; fi
work=build/gpu-check-work
{ rm -rf "$work" && mkdir -p "$out" "$work" && out=$(cd "$out" && pwd) && work=$(cd "$work" && pwd); } || exit 1
rm -f "$out"/{table.txt,gpu.csv}
for part in $parts; do rm -f "$out/$part.log"; done
distill=$PWD/$build/distill commit=$(git describe --always --dirty --abbrev=7 2> /dev/null || echo unknown)
export XDG_CACHE_HOME=$work/cache  # plans of convolutions that other programs chose here stay out of it
echo date,device,commit,command,figure,value,unit > "$out/gpu.csv"

# ---- what the parts are made of ----------------------------------------------------------------------------------------------
row() { printf '%s\t%s\t%s\t%s\n' "$@" | tee -a "$work/table"; }  # check, bound, measured, verdict
figure() { printf '%s,%s,%s,"%s",%s,%s,%s\n' "$(date -u +%F)" "$gpu" "$commit" "tools/gpu_check.sh $1" "$2" "$3" "$4" >> "$out/gpu.csv"; }
at_most() { if awk "BEGIN { exit !($1 <= $2) }"; then echo ok; else echo missed; fi; }
at_least() { at_most "$2" "$1"; }
calc() { awk "BEGIN { printf \"%.4g\", $1 }"; }

# limit SECONDS LOG COMMAND…: runs it into the log; its exit code, 124 where the time was up.
limit() {
    local seconds=$1 log=$2
    shift 2
    printf '\n$ %s\n' "$*" >> "$log"
    timeout -k 10 "$seconds" "$@" >> "$log" 2>&1 &
    wait $!
}
# Ends the command with the script: timeout has it in a process group of its own, which Ctrl-C does not reach.
trap 'kill $(jobs -p) 2> /dev/null; wait; exit 130' INT TERM
# failed CODE LOG: the verdict, with the reason.
failed() {
    case $1 in 124 | 137) echo "failed: time limit"; return ;; esac
    echo "failed: exit code $1, $(basename "$2"): $(tail -n 1 "$2" | tr '\t' ' ' | cut -c 1-120)"
}
# cell FILE COLUMN: in the last row of a table without quotes.
cell() { awk -F, -v want="$2" 'NR == 1 { for (i = 1; i <= NF; ++i) if ($i == want) at = i } END { print $at }' "$1"; }

# toy NAME TRAIN TEST CLASSES SIZE TEACHER: a learnable set under $work/data, and a network trained on it for a moment.
toy() {
    [ -f "$work/data/$1/meta.csv" ] || limit 120 "$work/toy.log" "$distill" data synth --data "$work/data" --dataset "$1" --train "$2" \
        --test "$3" --classes "$4" --size "$5" || return
    [ -f "$work/$1-teacher/student.safetensors" ] || limit 300 "$work/toy.log" "$distill" train --data "$work/data" --dataset "$1" \
        --net "$6" --epochs 1 --max-steps 3 --batch 32 --lr 0.01 --device "$device" --quiet --run "$work/$1-teacher"
}
# distil NAME TEACHER STUDENT: sets $training to such a training's words.
distil() {
    training=("$distill" reviewkd --data "$work/data" --dataset "$1" --teacher "$2" --teacher-weights "$work/$1-teacher/student.safetensors"
        --student "$3" --kd-warmup 0 --quiet)
}

# ---- the parts ---------------------------------------------------------------------------------------------------------------
part_tests() {
    local log=$out/tests.log name filter hidden code result
    for name in "CUDA half" "fast suite"; do
        # The fast suite is the CPU's: its hundreds of small commands would each start CUDA, and some count worker processes.
        if [ "$name" = "CUDA half" ]; then filter='--test-case=*cuda*,*cudnn*,*GPU*' hidden=()
        else filter='--test-case-exclude=slow: *,*cuda*,*cudnn*,*GPU*' hidden=(CUDA_VISIBLE_DEVICES=); fi
        limit 500 "$log" env OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}" ${hidden[@]+"${hidden[@]}"} "$build/tests" "$filter"
        code=$? result=$(tail -n 1 "$log")
        if [ $code != 0 ]; then row "tests, $name" "0 failed" "$result" "$(failed $code "$log")"
        elif [ "$device" = cuda ] && [ "$name" = "CUDA half" ] && grep -q '^skipped: .*(no CUDA device)' "$log"; then
            row "tests, $name" "0 failed" "$result" "failed: cases were skipped for want of a CUDA device"
        else row "tests, $name" "0 failed" "$result" ok && figure tests "tests: $name: failed" 0 cases; fi
    done
}

part_sanitizer() {
    local log=$out/sanitizer.log checker program extra code summary
    program=$(tool compute-sanitizer)
    if [ -z "$program" ]; then row "compute-sanitizer" "0 errors" - "skipped: compute-sanitizer not found"; return; fi
    toy small 96 32 4 16 resnet14 || { row "compute-sanitizer" "0 errors" - "$(failed $? "$work/toy.log")"; return; }
    distil small resnet14 resnet8
    training+=(--device "$device" --batch 16 --epochs 1 --max-steps 3 --lr 0.01)
    limit 300 "$log" "${training[@]}" --run "$work/sanitized-plans"  # so that plans are found on file, not searched for under the checker
    for checker in memcheck racecheck initcheck; do
        case $checker in
            memcheck) extra=(--report-api-errors no) ;;    # every call of ours is checked; libraries probe
            racecheck) extra=(--kernel-name kns=distill) ;;  # our kernels alone
            initcheck) extra=() ;;
        esac
        # With the policy given the program does not start itself a second time, out of the checker's sight.
        limit 600 "$work/$checker.log" env OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}" "$program" --tool "$checker" \
            ${extra[@]+"${extra[@]}"} --target-processes all --error-exitcode 9 "${training[@]}" --run "$work/sanitized-$checker"
        code=$? summary=$(grep -E '(ERROR|RACECHECK) SUMMARY' "$work/$checker.log" | tail -n 1 | sed 's/^=* *//')
        cat "$work/$checker.log" >> "$log"
        if [ $code != 0 ]; then row "compute-sanitizer $checker" "0 errors" "$summary" "$(failed $code "$log")"; continue; fi
        if ! [[ $summary =~ SUMMARY:.*(^|[^0-9])0\ (errors|hazards) ]]; then
            row "compute-sanitizer $checker" "0 errors" "$summary" "failed: found no summary of 0 errors, what it checked is not known; see $log"
            continue
        fi
        row "compute-sanitizer $checker" "0 errors" "$summary" ok
        figure sanitizer "compute-sanitizer $checker" 0 errors
    done
}

# Rows of bench_peer's table, as figures; those with a bound as checks.
peer_rows() {
    local case batch program ms ratio bound seen= what
    while IFS=, read -r case batch _ _ _ _ program ms ratio bound _; do
        figure bench "$case batch $batch $1: $program" "$(calc "$ms")" ms/step
        seen+="$case batch $batch|$program"$'\n'
        [ -n "$bound" ] || continue
        figure bench "$case batch $batch $1: ours / $program" "$(calc "$ratio")" ratio
        row "$case batch $batch $1: ours / PyTorch $program" "<= $bound" "$(calc "$ratio")" "$(at_most "$ratio" "$bound")"
    done < <(tail -n +2 "$2")
    [ "$device" = cuda ] || return 0
    while read -r what; do  # a way of PyTorch's that failed, or had no time, may have been its best
        for program in eager compiled graph compiled-graph best; do
            grep -qxF "$what|$program" <<< "$seen" || row "$what $1: PyTorch $program" - - "failed: no figure, bench.log says why"
        done
    done < <(sed '/^$/d; s/|.*//' <<< "$seen" | sort -u)
}

part_bench() {
    local log=$out/bench.log p code figures what
    for p in $precisions; do
        figures=$work/peer-$p.csv
        limit 1500 "$log" "$python" tests/peer/bench_peer.py --distill "$distill" --device "$device" --precision "$p" --rounds $rounds \
            "${peer_arguments[@]}" --csv "$figures"
        code=$?
        if [ $code = 0 ]; then peer_rows "$p" "$figures"
        elif tail -n 1 "$log" | grep -q '^no PyTorch'; then row "beside PyTorch, $p" "<= 0.4 eager, 0.8 best" - "skipped: no PyTorch"
        else row "beside PyTorch, $p" "<= 0.4 eager, 0.8 best" - "$(failed $code "$log")"; fi
    done
    for p in $precisions; do
        figures=$work/several-$p.csv
        limit 600 "$log" "$distill" bench several --runs $several --net $student --batch 128 --steps $steps --device "$device" \
            --precision "$p" --csv "$figures"
        code=$?
        if [ $code != 0 ]; then row "$several $student at once, $p" ">= 3 x one" - "$(failed $code "$log")"; continue; fi
        row "$several $student at once, $p" ">= 3 x one" "$(calc "$(cell "$figures" ratio)")" "$(at_least "$(cell "$figures" ratio)" 3)"
        figure bench "one $student batch 128 $p" "$(calc "$(cell "$figures" images_per_s_one)")" images/s
        figure bench "$several $student batch 128 at once $p" "$(calc "$(cell "$figures" images_per_s)")" images/s
    done
    figures=$work/memory.csv
    limit 300 "$log" "$distill" bench reviewkd --teacher $wide_teacher --student $wide_student --batch 128 --steps $steps \
        --device "$device" --csv "$figures"
    code=$? what="memory of reviewkd $wide_teacher->$wide_student batch 128 fp32"
    if [ $code != 0 ]; then row "$what" "< 2048 MiB" - "$(failed $code "$log")"; return; fi
    row "$what" "< 2048 MiB" "$(calc "$(cell "$figures" memory_mib)")" "$(at_most "$(cell "$figures" memory_mib)" 2047)"
    figure bench "$what" "$(calc "$(cell "$figures" memory_mib)")" MiB
}

part_profile() {
    local log=$out/profile.log p what code
    for p in $precisions; do
        for what in "reviewkd --teacher $wide_teacher --student $wide_student --batch 64" "train --student $student --batch 128"; do
            # shellcheck disable=SC2086  # $what are words
            limit 300 "$work/profile.txt" "$distill" bench $what --steps $steps --device "$device" --precision "$p" --profile
            code=$?
            cat "$work/profile.txt" >> "$log"
            if [ $code != 0 ]; then row "profile, $p: $what" - - "$(failed $code "$log")"
            else row "profile, $p: $what" - "$(awk '/^  group/ { at = 1 } at && NF >= 10 && !/^  group/ && ++shown < 4 {
                share = $(NF - 6); NF -= 9; printf "%s%s %s", separator, $0, share; separator = ", " }' "$work/profile.txt")" ok; fi
            rm "$work/profile.txt"
        done
    done
}

# largest_difference STEPS_A STEPS_B: of all losses of all steps, relative to the second.
largest_difference() {
    paste -d, "$1" "$2" | awk -F, 'NR > 1 {
        for (i = 3; i <= NF / 2; ++i) {
            a = $i; b = $(i + NF / 2); d = a > b ? a - b : b - a; s = b < 0 ? -b : b
            if (a !~ /^-?[0-9]/ || b !~ /^-?[0-9]/ || d > 1e9) bad = 1  # mawk compares nan as it likes
            if (s > 0 && d / s > worst) worst = d / s
        } } END { print bad || NR < 11 ? "not finite" : worst + 0 }'
}

part_exact() {
    local log=$out/exact.log code id method difference
    toy exact "${middle[@]}" $teacher || { row "exact" - - "$(failed $? "$work/toy.log")"; return; }
    distil exact $teacher $student
    local long=("${training[@]}" --device "$device" --batch 64 --lr 0.01 --epochs "$middle_epochs")

    limit 300 "$log" "${long[@]}" --run "$work/whole" && limit 300 "$log" "${long[@]}" --run "$work/again"
    code=$?
    if [ $code != 0 ]; then row "the same seed twice" "the same bits" - "$(failed $code "$log")"
    elif cmp "$work"/{whole,again}/student.safetensors >> "$log" 2>&1; then row "the same seed twice" "the same bits" same ok
    else row "the same seed twice" "the same bits" different missed; fi

    printf '\n$ %s (interrupted)\n' "${long[*]}" >> "$log"
    timeout --foreground -k 10 300 "${long[@]}" --run "$work/cut" >> "$log" 2>&1 &
    id=$!
    while kill -0 $id 2> /dev/null && [ "$(wc -l 2> /dev/null < "$work/cut/epochs.csv" || echo 0)" -lt 3 ]; do sleep 0.02; done
    kill -TERM $id 2> /dev/null
    wait $id
    code=$?
    [ $code != 3 ] || limit 300 "$log" "$distill" reviewkd --resume --quiet --run "$work/cut" || code=$?
    if [ $code != 3 ]; then row "interrupted and resumed" "the same bits" - "$(failed $code "$log")"
    elif cmp "$work"/{whole,cut}/student.safetensors >> "$log" 2>&1; then row "interrupted and resumed" "the same bits" same ok
    else row "interrupted and resumed" "the same bits" different missed; fi

    # At a rate of 0.05 other roundings alone, a CPU's with and without minimal filtering, move a loss by 1e-2 within ten steps; at 0.001 by 2e-4.
    for method in train reviewkd; do
        local ten=("${training[@]}")
        [ $method = reviewkd ] || ten=("$distill" train --data "$work/data" --dataset exact --net resnet20 --quiet)
        ten+=(--precision fp32 --batch 64 --lr 0.001 --epochs 1 --max-steps 10 --shuffle off --augment none --log-steps)
        limit 300 "$log" "${ten[@]}" --device cpu --run "$work/cpu-$method" &&
            limit 300 "$log" "${ten[@]}" --device "$device" --run "$work/gpu-$method"
        code=$?
        if [ $code != 0 ]; then row "GPU beside CPU, ten steps, $method" "<= 1e-3" - "$(failed $code "$log")"; continue; fi
        difference=$(largest_difference "$work/gpu-$method/steps.csv" "$work/cpu-$method/steps.csv")
        if [ "$difference" = "not finite" ]; then row "GPU beside CPU, ten steps, $method" "<= 1e-3" "$difference" missed; continue; fi
        row "GPU beside CPU, ten steps, $method" "<= 1e-3" "$difference" "$(at_most "$difference" 1e-3)"
        figure exact "ten fp32 steps of $method beside the CPU: largest relative difference of a loss" "$difference" ratio
    done
}

part_minutes() {
    local log=$out/minutes.log p code minutes
    toy large "${large[@]}" $teacher || { row "minutes" - - "$(failed $? "$work/toy.log")"; return; }
    distil large $teacher $student
    for p in $precisions; do
        limit 600 "$log" "${training[@]}" --device "$device" --precision "$p" --epochs 2 --run "$work/minutes-$p"
        code=$?
        if [ $code != 0 ]; then row "ReviewKD $teacher->$student, 240 epochs, $p" "(minutes)" - "$(failed $code "$log")"; continue; fi
        minutes=$(calc "240 / 60 * $(cell "$work/minutes-$p/epochs.csv" seconds)")
        row "ReviewKD $teacher->$student, 240 epochs, $p" "(minutes)" "$minutes" ok
        figure minutes "reviewkd $teacher->$student 240 epochs of ${large[0]} images $p" "$minutes" min
    done
}

part_accuracy() {
    local log=$out/accuracy.log set=cifar10 folder=$data p code reference="" summary mean deviation comparison
    if [ ! -d "$data/cifar-10-batches-bin" ]; then
        if [ ! -f "$data/cifar10-jpeg.tar.xz" ]; then
            row "accuracy on CIFAR-10" - - "skipped: neither cifar-10-batches-bin nor cifar10-jpeg.tar.xz in $data (DATA=dir)"
            return
        fi
        set=cifar10-jpeg folder=$work/data
        mkdir -p "$work/images" && limit 300 "$log" tar xJf "$data/cifar10-jpeg.tar.xz" -C "$work/images" &&
            limit 300 "$log" "$distill" data import images --from "$work/images/$set" --data "$folder" --dataset $set --size 32 --quiet
        code=$?
        if [ $code != 0 ]; then row "accuracy on CIFAR-10" - - "$(failed $code "$log")"; return; fi
    fi
    for p in $precisions; do
        limit 1500 "$log" "$distill" train --data "$folder" --dataset $set --net resnet20 --epochs $epochs --lr-steps 18,24,27 --runs 3 \
            --device "$device" --precision "$p" --quiet --run "$work/accuracy-$p"
        code=$?
        if [ $code != 0 ]; then row "accuracy of resnet20 on $set, $p" - - "$(failed $code "$log")"; continue; fi
        summary=$(for s in 0 1 2; do cell "$work/accuracy-$p/s$s/result.csv" last; done |
            awk '{ s += $1; q += $1 * $1 } END { m = s / NR; v = (q - NR * m * m) / (NR - 1); printf "%.2f %.2f", m, sqrt(v > 0 ? v : 0) }')
        read -r mean deviation <<< "$summary"
        figure accuracy "resnet20 on $set after $epochs epochs $p: mean of 3 seeds" "$mean" %
        figure accuracy "resnet20 on $set after $epochs epochs $p: sample standard deviation" "$deviation" %
        if [ -z "$reference" ]; then
            reference=$p
            row "accuracy of resnet20 on $set, $p" - "$mean ± $deviation %" ok
            continue
        fi
        # Below it only where the program's own rule decides so (distill compare --help).
        comparison=$work/compare-$p.csv
        limit 60 "$log" "$distill" compare "$work/accuracy-$p" "$work/accuracy-$reference" --csv "$comparison"
        code=$?
        if [ $code != 0 ]; then row "accuracy of resnet20 on $set, $p" "not below $reference" - "$(failed $code "$log")"; continue; fi
        summary=$(cell "$comparison" a_is_higher)
        row "accuracy of resnet20 on $set, $p" "not below $reference" \
            "$mean ± $deviation %, $(cell "$comparison" difference) ($(cell "$comparison" low) to $(cell "$comparison" high)) points" \
            "$(if [ "$summary" = "does not hold" ]; then echo missed; else echo "ok: above it $summary"; fi)"
    done
}

# ---- all of them, then the table -----------------------------------------------------------------------------------------------
echo "gpu-check on $gpu: $parts; logs in $out"
# A make above this one would lend its job server to nobody.
if [ -z "${NO_BUILD:-}" ] && ! env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make "${make_arguments[@]}" "$build/distill" "$build/tests" > "$out/build.log" 2>&1; then
    tail -n 5 "$out/build.log" >&2
    echo "$0: the build failed (make ${make_arguments[*]}): $out/build.log" >&2
    exit 1
fi
for part in $parts; do "part_$part"; done

printf '\n' && awk -F '\t' '
    { for (i = 1; i <= 4; ++i) { cell[NR, i] = $i; if (length($i) > width[i]) width[i] = length($i) } }
    END { for (r = 1; r <= NR; ++r) { for (i = 1; i < 4; ++i) printf "%-" width[i] + 2 "s", cell[r, i]; print cell[r, 4] } }' \
    <(printf 'check\tbound\tmeasured\tverdict\n') "$work/table" | tee "$out/table.txt"

if [ "$device" = cuda ]; then  # this run's figures take the place of this GPU's of the same names, and of rows without a GPU
    [ -f data/measured/gpu.csv ] || head -n 1 "$out/gpu.csv" > data/measured/gpu.csv
    awk -F, 'FNR == 1 && NR > 1 { second = 1 }
        { name = $(NF - 2) }
        !second { if (NR > 1) { fresh[name] = $0; order[++n] = name; device = $2 } next }
        FNR > 1 && name in fresh && ($2 == device || $2 == "") { print fresh[name]; delete fresh[name]; next }
        { print }
        END { for (i = 1; i <= n; ++i) if (order[i] in fresh) print fresh[order[i]] }' "$out/gpu.csv" data/measured/gpu.csv \
        > "$work/gpu.csv" && cp "$work/gpu.csv" data/measured/gpu.csv
fi
! grep -qE $'\t(missed|failed)[^\t]*$' "$work/table"
