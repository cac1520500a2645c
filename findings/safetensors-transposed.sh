#!/bin/sh
# findings/safetensors-transposed.sh    safetensors 0.8.0 for Python: safetensors.numpy's save and save_file write an array that is a view
# with other strides (a transpose, Fortran order, every second column) as it lies in memory, under the view's shape: what is read back has
# the right shape and other numbers, and nothing is said. 0.7.0 and earlier copied it first; safetensors.torch refuses it. Kernels of Keras or
# JAX (H,W,I,O) turned to PyTorch's order, as docs/weights.md asks for, are such views: numpy.ascontiguousarray before saving. Our program
# is not used; it reads such a file as it is.
#
# numpy 2.4.6 and safetensors 0.7.0 and 0.8.0 are installed from PyPI into a temporary folder; views of one small kernel are saved and read
# by both, in memory and as a file.
# Seen: 0.7.0 all equal; 0.8.0 a transpose, Fortran order, every second number and a part of the columns other, a contiguous copy and a part
# of the rows equal.
# Needs Python 3.11 to 3.14 with venv. Not in CI; run it before a commit that concerns it.
# Exit codes: 0 as described, 1 the behaviour changed, 2 it could not be tried.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 2' HUP INT TERM
cd "$work" || exit 2

cat > views.py <<'PY'
import numpy, safetensors
from safetensors.numpy import load, load_file, save, save_file

kernel = numpy.arange(3 * 3 * 2 * 4, dtype=numpy.float32).reshape(3, 3, 2, 4)  # H,W,I,O
views = {"transposed": kernel.transpose(3, 2, 0, 1), "Fortran order": numpy.asfortranarray(kernel[0, 0]), "every second": kernel[..., ::2],
         "columns": kernel[..., 1:3], "copied": numpy.ascontiguousarray(kernel.transpose(3, 2, 0, 1)), "rows": kernel[1:]}
other = []
for name, view in views.items():
    save_file({"w": view}, "w.safetensors")
    read = load(save({"w": view}))["w"], load_file("w.safetensors")["w"]
    if any(back.shape != view.shape for back in read):
        raise SystemExit(f"{name}: another shape")
    if not all(numpy.array_equal(back, view) for back in read):
        other.append(name)
print(f"safetensors {safetensors.__version__}, numpy {numpy.__version__}: other numbers than were saved:", ", ".join(other) or "none")
PY

changed=0
for version in 0.7.0 0.8.0; do
    python3 -m venv $version && $version/bin/pip install -q --no-cache-dir numpy==2.4.6 safetensors==$version ||
        { echo "$0: safetensors $version could not be installed" >&2; exit 2; }
    said=$($version/bin/python views.py) || { echo "$said" >&2; exit 2; }
    case $version in
    0.7.0) expected="none" ;;
    *) expected="transposed, Fortran order, every second, columns" ;;
    esac
    echo "$said"
    [ "${said##*saved: }" = "$expected" ] || { echo "expected: $expected"; changed=1; }
done
[ $changed = 0 ] && echo "as described: 0.8.0 saves views as they lie in memory" || echo "changed: not as described"
exit $changed
