#!/bin/sh
# findings/cublaslt-constructors.sh    libcublasLt.so has thousands of constructors, which run when it is loaded, before main(). So a program
# that links cuBLAS pays for them at each start (60 to 80 ms of a core, where libcublas.so itself takes 2), be it --help, a test or a run on
# the CPU: though it calls nothing of cuBLAS, and no GPU or driver is there. What helps is to load cuBLAS where it is used (dlopen).
# Our program is not used; see include/cuda_cublas.h.
#
# PyPI's nvidia-cublas-cu12 12.9.1.4 and nvidia-cublas 13.10.0.20 (some 500 MB each) are fetched into a temporary folder. The size of the
# section .init_array counts the constructors; Python's ctypes loads libcublasLt.so, then libcublas.so, which needs it; no function is called.
# Seen (Ice Lake, 2.8 GHz): 12.9.1.4 with 7,081 constructors 58 ms, then 1.8; 13.10.0.20 with 4,574 constructors 81 ms, then 2.4.
# Needs x86-64 Linux, python3 with pip, readelf. Not in CI; run it before a commit that concerns it.
# Exit codes: 0 as described, 1 the behaviour changed, 2 it could not be tried.
set -u
python=${PYTHON:-python3}
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 2' HUP INT TERM
cd "$work" || exit 2

cat > load.py <<'EOF'
import ctypes, sys, time
for library in sys.argv[1:]:
    before = time.process_time()
    ctypes.CDLL(library)
    print(round(1000 * (time.process_time() - before), 1))
EOF

changed=0
for package in nvidia-cublas-cu12==12.9.1.4 nvidia-cublas==13.10.0.20; do
    "$python" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --target "$package" "$package" ||
        { echo "$0: $package could not be fetched" >&2; exit 2; }
    lt=$(find "$PWD/$package" -name 'libcublasLt.so.*') own=$(find "$PWD/$package" -name 'libcublas.so.*')
    constructors=$(($(readelf -d "$lt" | sed -n 's/.*(INIT_ARRAYSZ) *\([0-9]*\) .*/\1/p') / 8)) || exit 2
    "$python" load.py "$lt" "$own" > /dev/null || exit 2  # the file comes from the disk
    ms=$("$python" load.py "$lt" "$own") || exit 2
    echo "$package: libcublasLt has $constructors constructors; ms of a core to load it, then libcublas: $(echo $ms)"
    echo $ms | awk -v constructors="$constructors" '{exit !(constructors > 1000 && $1 > 10 && $1 > 5 * $2)}' || { echo "changed"; changed=1; }
    rm -rf "$package"
done
exit $changed
