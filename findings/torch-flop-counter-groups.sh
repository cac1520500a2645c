#!/bin/sh
# findings/torch-flop-counter-groups.sh    PyTorch 2.15.0's torch.utils.flop_counter.FlopCounterMode counts the weights' gradient of a grouped
# convolution as if it had no groups, while it counts forward and the data's gradient rightly: of a depthwise convolution of C channels C
# times too much. Training MobileNetV2 or ShuffleNet so seems to cost several times what it does; ResNets are counted rightly, so the two
# cannot be set beside each other. Our program is not used; `distill info` counts forward multiply-accumulates.
#
# torch 2.15.0 is installed from PyPI into a temporary folder (about 3 GB, with the CUDA libraries that it asks for); convolutions of 64
# channels in 1, 4 and 64 groups are counted on tensors without memory (device "meta").
# Seen: counted backward over forward: 2.0 without groups (the two gradients), 5.0 in 4 groups (1 + 4), 65.0 depthwise (1 + 64).
# Needs Python 3.10 to 3.14 with venv. Not in CI; run it before a commit that concerns it.
# Exit codes: 0 as described, 1 the behaviour changed, 2 it could not be tried.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 2' HUP INT TERM
cd "$work" || exit 2

python3 -m venv venv && venv/bin/pip install -q --no-cache-dir torch==2.15.0 numpy || { echo "$0: torch 2.15.0 could not be installed" >&2; exit 2; }

cat > count.py <<'PY'
import torch
from torch.utils.flop_counter import FlopCounterMode

as_described = True
for groups in (1, 4, 64):
    convolution = torch.nn.Conv2d(64, 64, 3, padding=1, groups=groups, bias=False, device="meta")
    images = torch.empty(2, 64, 16, 16, device="meta", requires_grad=True)
    with FlopCounterMode(display=False) as forward:
        convolution(images)
    with FlopCounterMode(display=False) as both:
        convolution(images).sum().backward()
    made = 2 * images.numel() * 9 * 64 // groups
    ratio = (both.get_total_flops() - forward.get_total_flops()) / forward.get_total_flops()
    print(f"{groups} groups: forward {forward.get_total_flops()} (made: {made}), backward {ratio:.1f} times that (made: 2.0)")
    as_described &= forward.get_total_flops() == made and abs(ratio - (1 + groups)) < 1e-9
raise SystemExit(0 if as_described else 3)
PY

venv/bin/python count.py
case $? in
0) echo "as described: the weights' gradient is counted without its groups" ;;
3) echo "changed: not as described"; exit 1 ;;
*) exit 2 ;;
esac
