#!/bin/sh
# findings/torch-fused-relu-nan.sh    PyTorch 2.15.0 on a CPU: a network with NaN among its weights answers NaN in eager mode and finite,
# plausible logits once convolution and ReLU are fused into oneDNN's one primitive, as torch.compile with freezing and
# torch.jit.optimize_for_inference do. oneDNN's ReLU post-op (3.13.3 there; 2.6.3 of Debian 12 as well) makes 0 of NaN where max(0, NaN)
# of the framework stays NaN. A training that has diverged so looks like a poor network. Our program is not used; it is why
# src/cpu_conv2d.cpp keeps ReLU out of the primitive.
#
# torch 2.15.0 is installed from PyPI into a temporary folder (about 3 GB, with the CUDA libraries that it asks for), and four fresh
# networks of two convolutions with ReLU, a mean over pixels and a classifier, one weight of the second convolution NaN, are run eagerly,
# compiled, compiled with freezing, and frozen by TorchScript, once with oneDNN held to AVX2.
# Seen on an AVX-512 CPU, and held to AVX2: eager and compiled all NaN; the two fused ones no NaN. With sound weights all four agree to 1e-5.
# Needs x86-64, Python 3.10 to 3.14 with venv, g++ (for torch.compile). Not in CI; run it before a commit that concerns it.
# Exit codes: 0 as described, 1 the behaviour changed, 2 it could not be tried.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 2' HUP INT TERM
cd "$work" || exit 2

python3 -m venv venv && venv/bin/pip install -q --no-cache-dir torch==2.15.0 numpy || { echo "$0: torch 2.15.0 could not be installed" >&2; exit 2; }

cat > relu.py <<'PY'
import warnings
warnings.simplefilter("ignore")
import torch
from torch import nn
import torch._inductor.config as inductor


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)).eval()


def compiled(net, freezing):
    torch._dynamo.reset()
    inductor.freezing = freezing
    return torch.compile(net)


def script(net):
    return torch.jit.optimize_for_inference(torch.jit.script(net))


ways = {"eager": lambda net: net, "compiled": lambda net: compiled(net, False), "compiled, freezing": lambda net: compiled(net, True),
        "TorchScript, frozen": script}
fused = {"compiled, freezing", "TorchScript, frozen"}
torch.set_num_threads(1)
images = torch.linspace(-1, 1, 4 * 3 * 8 * 8).reshape(4, 3, 8, 8)
as_described = True
with torch.no_grad():
    sound = network()(images)
    for name, way in ways.items():
        net = network()
        off = (way(net)(images) - sound).abs().max().item()
        net = network()
        net[2].weight[:, 0, 0, 0] = float("nan")
        logits = way(net)(images)
        nans = logits.isnan().sum().item()
        print(f"{name}: sound weights off by {off:.1e}; with NaN in the weights {nans} of {logits.numel()} logits are NaN")
        as_described &= off < 1e-5 and nans == (0 if name in fused else logits.numel())
print(torch.__version__, [line.strip() for line in torch.__config__.show().splitlines() if "MKL-DNN" in line])
raise SystemExit(0 if as_described else 3)
PY

changed=0
for isa in AVX2 ALL; do
    echo "ONEDNN_MAX_CPU_ISA=$isa"
    TORCHINDUCTOR_CACHE_DIR="$work/$isa" ONEDNN_MAX_CPU_ISA=$isa venv/bin/python relu.py 2> errors.txt
    case $? in
    0) ;;
    3) changed=1 ;;
    *) cat errors.txt >&2; exit 2 ;;
    esac
done
[ $changed = 0 ] && echo "as described: fused, NaN becomes 0" || echo "changed: not as described"
exit $changed
