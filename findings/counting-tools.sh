#!/bin/sh
# findings/counting-tools.sh    Six tools that count a PyTorch network's parameters and multiply-accumulates leave another network behind:
#   fvcore, torchprofile and torchsummary run it in the mode that it is in, and one that was built and loaded is in training mode: each
#   BatchNorm's running statistics move by a tenth towards the one image (or noise) that is counted with;
#   ptflops puts it into evaluation mode and leaves it there: a loop that trains it then has BatchNorms that stand still;
#   thop leaves total_ops and total_params in the state dict, for every module it has no rule for, and so in files that are saved later;
#   thop and torchinfo put a module that was frozen (eval() of itself alone) back into training mode.
# A teacher that is counted for a table before it is tested or saved is another teacher. Documented: torchinfo says that mixed modes are not
# kept; thop's tensors are a known issue. eval() before counting, and counting a deep copy, mend it. Our program is not used; it reads such
# files without those tensors (docs/weights.md), and counts from shapes alone.
#
# torch 2.15.0 and the newest release of each are installed from PyPI into a temporary folder (about 3 GB, with the CUDA libraries that
# torch asks for); a network of three blocks, one of them frozen, is counted by each, and compared with what it was.
# Seen: six of the state dict's tensors moved by the first three, and logits by 0.243, 0.243 and 0.150; ptflops: 12 of 13 modules in
# evaluation mode; thop: 8 tensors more; thop and torchinfo: the frozen module in training mode.
# Needs Python 3.10 to 3.14 with venv. Not in CI; run it before a commit that concerns it.
# Exit codes: 0 as described, 1 the behaviour changed, 2 it could not be tried.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 2' HUP INT TERM
cd "$work" || exit 2

python3 -m venv venv && venv/bin/pip install -q --no-cache-dir torch==2.15.0 numpy pyyaml tqdm termcolor tabulate \
        iopath==0.1.10 yacs==0.1.8 portalocker==4.4.2 &&
    venv/bin/pip install -q --no-cache-dir --no-deps fvcore==0.1.5.post20221221 torchsummary==1.5.1 torchprofile==0.1.0 ptflops==0.7.5 \
        thop==0.1.1.post2209072238 torchinfo==1.8.0 || { echo "$0: torch and the six could not be installed" >&2; exit 2; }

cat > counting.py <<'PY'
import contextlib, copy, io, logging, warnings
warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
import torch
from torch import nn
import fvcore.nn, ptflops, thop, torchinfo, torchprofile, torchsummary


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)

    def forward(self, x):
        return torch.relu(self.bn(self.conv(x)) + x)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.layer1, self.fc = nn.Conv2d(3, 16, 3, padding=1), nn.Sequential(Block(16), Block(16), Block(16)), nn.Linear(16, 10)

    def forward(self, x):
        return self.fc(self.layer1(self.stem(x)).mean((2, 3)))


torch.set_num_threads(1)
torch.manual_seed(0)
images = (torch.randn(64, 3, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3) + torch.randn(64, 3, 1, 1)) / 2  # smooth, as pictures are
noise, trained = torch.randn(1, 3, 32, 32), Network()
for _ in range(100):
    trained(images)
logits = copy.deepcopy(trained).eval()(images)
shape = dict(print_per_layer_stat=False, as_strings=False)
tools = {"fvcore": lambda net: fvcore.nn.FlopCountAnalysis(net, noise).total(), "torchsummary": lambda net: torchsummary.summary(net, (3, 32, 32), device="cpu"),
         "torchprofile": lambda net: torchprofile.profile_macs(net, noise), "ptflops": lambda net: ptflops.get_model_complexity_info(net, (3, 32, 32), **shape),
         "thop": lambda net: thop.profile(net, (noise,), verbose=False), "torchinfo": lambda net: torchinfo.summary(net, input_data=noise, verbose=0)}
seen = {}
for name, count in tools.items():
    net = Network()
    net.load_state_dict(trained.state_dict())  # a fresh network is in training mode, be it a teacher or not
    net.layer1[0].bn.eval()                    # one BatchNorm is frozen
    before, modes = {key: value.clone() for key, value in net.state_dict().items()}, [module.training for module in net.modules()]
    with contextlib.redirect_stdout(io.StringIO()):
        count(net)
    after = net.state_dict()
    more, moved = [key for key in after if key not in before], [key for key in before if not torch.equal(before[key], after[key])]
    switched = [old for old, module in zip(modes, net.modules()) if old != module.training]
    with torch.no_grad():
        apart = (net.eval()(images) - logits).abs().max().item()
    seen[name] = (len(more), len(moved), switched.count(True), switched.count(False))
    print(f"{name}: {len(more)} tensors more in the state dict {more[:1] or ''}, {len(moved)} others moved {moved[:1] or ''}, "
          f"{switched.count(True)} modules of {len(modes)} now in evaluation and {switched.count(False)} in training mode; logits apart {apart:.3f}")
stats = (0, 6, 0, 0)  # running mean, variance and counter of the two BatchNorms that are not frozen
described = {"fvcore": stats, "torchsummary": stats, "torchprofile": stats, "ptflops": (0, 0, 12, 0), "thop": (8, 0, 0, 1), "torchinfo": (0, 0, 0, 1)}
raise SystemExit(0 if seen == described else 3)
PY

venv/bin/python counting.py 2> errors.txt
case $? in
0) echo "as described: counting a network changes it" ;;
3) echo "changed: not as described"; exit 1 ;;
*) cat errors.txt >&2; exit 2 ;;
esac
