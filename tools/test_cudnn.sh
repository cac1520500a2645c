#!/bin/sh
# tools/test_cudnn.sh TESTS PACKAGE    what the tests make of cuDNN: as linked, then with PyPI's newest PACKAGE (nvidia-cudnn-cu13, as the
# toolkit's release has it) in a temporary folder; `make test-cudnn` calls it. Fetches some 500 MB.
# Without a driver the CUDA toolkit's stub of one is lent: it runs nothing, but cuDNN 9.27 and later finalise not even a tensor without.
# From the environment: PYTHON, CUDA_HOME, CASES (a filter of the test program).
# Exit codes: 0 all passed with both, 1 something failed or could not be fetched.
set -u
tests=$1 package=$2 python=${PYTHON:-python3}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

stub=
if ! "$python" -c 'import ctypes; ctypes.CDLL("libcuda.so.1")' 2> /dev/null; then
    for found in "${CUDA_HOME:-/usr/local/cuda}"/lib*/stubs/libcuda.so "${CUDA_HOME:-/usr/local/cuda}"/targets/*/lib/stubs/libcuda.so; do
        if [ -e "$found" ]; then stub=$work/stub; mkdir -p "$stub" && ln -sf "$found" "$stub/libcuda.so.1"; break; fi
    done
    if [ -n "$stub" ]; then echo "no driver here: $found stands in for it, and what needs a GPU is skipped"
    else echo "no driver here, and no stub of one in the CUDA toolkit"; fi
fi

failed=0
# try FOLDER…: the tests with these folders of libraries first; of what they skip, what is cuDNN's own is named.
try() {
    folders=${LD_LIBRARY_PATH:-}
    for folder in "$stub" "$@"; do [ -z "$folder" ] || folders=$folder${folders:+:$folders}; done
    LD_LIBRARY_PATH=$folders "$tests" --test-case="${CASES:-*cudnn*,*cuda*,*GPU*}" > "$work/log" 2>&1 ||
        { failed=1; cat "$work/log"; }
    grep '^skipped: cudnn' "$work/log"
    tail -n 1 "$work/log"
}
echo "cuDNN as linked:"
try
if ! "$python" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --target "$work/newest" \
    "$package"; then
    echo "$0: $package could not be fetched (Debian's pip is the package python3-pip)" >&2
    exit 1
fi
echo "$(cd "$work/newest" && echo nvidia_cudnn*.dist-info | sed 's/\.dist-info//; s/-/ /'):"
try "$work/newest/nvidia/cudnn/lib"
exit $failed
