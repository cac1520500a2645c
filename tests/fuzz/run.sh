#!/bin/sh
# Fuzzes with each target for so many seconds, one after the other: run.sh SECONDS TARGET…
# A target's corpus and log stay beside it, a find in TARGET.find-*; any find ends this with 1.
seconds=$1
shift
finds=0
printf '%-20s %10s %10s %8s %8s  %s\n' target executions coverage features corpus result
for target; do
    mkdir -p "$target.corpus"
    if "$target" "$target.corpus" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=2048 -print_final_stats=1 -close_fd_mask=1 \
        -artifact_prefix="$target.find-" > "$target.log" 2>&1; then
        result=good
    else
        result="FIND, see $target.log" finds=1
    fi
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$target.log" | tail -1)
    last=$(grep 'cov: ' "$target.log" | tail -1)
    value() { echo "$last" | sed -n "s/.* $1: \([0-9]*\).*/\1/p"; }
    printf '%-20s %10s %10s %8s %8s  %s\n' "$(basename "$target")" "${executions:--}" "$(value cov)" "$(value ft)" "$(value corp)" "$result"
done
exit $finds
