#!/bin/sh
# findings/torchdistill-teacher.sh    torchdistill 1.1.5: a teacher that is configured as frozen (`requires_grad: False`, which logs that the
# whole teacher model is frozen) answers in training mode, since the library puts no teacher into evaluation mode; it says so nowhere. Its
# BatchNorm normalises by the batch, so that an image's logits depend on the images beside it, and its running statistics move: after
# training the teacher is no longer the one that was loaded, and that is the one whose accuracy is printed. teacher.eval() before training
# mends it. Our program is not used; its teachers are in evaluation mode (docs/papers.md §10.1, §10.3).
#
# torch 2.15.0, torchvision 0.29.2 and torchdistill 1.1.5 are installed from PyPI into a temporary folder (about 3 GB, with the CUDA
# libraries that torch asks for); one epoch of two batches of random images is distilled from a fresh resnet8 to another, by KD.
# Seen: the teacher in training mode, 27 of its 56 tensors other than before, all of them of BatchNorm's running statistics; after
# teacher.eval() none. The logits of one image beside two sets of others differ by 0.05; after teacher.eval() by less than 1e-5.
# Needs Python 3.10 to 3.14 with venv. Not in CI; run it before a commit that concerns it.
# Exit codes: 0 as described, 1 the behaviour changed, 2 it could not be tried.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 2' HUP INT TERM
cd "$work" || exit 2

python3 -m venv venv && venv/bin/pip install -q --no-cache-dir torch==2.15.0 torchvision==0.29.2 numpy pyyaml scipy &&
    venv/bin/pip install -q --no-cache-dir --no-deps torchdistill==1.1.5 || { echo "$0: torch and torchdistill could not be installed" >&2; exit 2; }

cat > teacher.py <<'PY'
import torch
from torch.utils.data import SequentialSampler, TensorDataset
from torchdistill.core.distillation import get_distillation_box
from torchdistill.models.registry import get_model

images = {"dataset_id": "images", "sampler": {"class_or_func": SequentialSampler, "kwargs": None}, "kwargs": {"batch_size": 16}}
network = {"forward_proc": "forward_batch_only", "sequential": []}
kd = {"key": "KDLoss", "kwargs": {"student_module_path": ".", "student_module_io": "output", "teacher_module_path": ".",
                                  "teacher_module_io": "output", "temperature": 4.0, "alpha": 0.1}}
config = {"num_epochs": 1, "train_data_loader": images, "val_data_loader": images,
          "teacher": {**network, "requires_grad": False}, "student": {**network, "requires_grad": True},
          "optimizer": {"key": "SGD", "kwargs": {"lr": 0.1}},
          "criterion": {"key": "WeightedSumLoss", "kwargs": {"sub_terms": {"kd": {"criterion": kd, "weight": 1.0}}}}}


def distil(evaluates):
    """How many of the teacher's tensors one epoch changes, their names' ends, and how far the others in a batch move an image's logits."""
    torch.manual_seed(0)
    teacher, student = (get_model("resnet", depth=8, num_classes=10, pretrained=False, progress=False) for _ in range(2))
    if evaluates:
        teacher.eval()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    data = {"images": TensorDataset(torch.randn(32, 3, 32, 32), torch.arange(32) % 10)}
    box = get_distillation_box(teacher, student, data, {**config, "train_data_loader": dict(images), "val_data_loader": dict(images)},
                               torch.device("cpu"), None, False, 1)
    box.pre_epoch_process(epoch=0)
    for x, y, more in box.train_data_loader:
        box.post_forward_process(loss=box.forward_process(x, y, more))
    box.post_epoch_process()
    moved = [name for name, value in teacher.state_dict().items() if not torch.equal(value, before[name])]
    of_batches = {name for name in before if name.rsplit(".")[-1] in ("running_mean", "running_var", "num_batches_tracked")}
    logits = [box.get_teacher_output(batch, y, more)[0][0] for batch in (x, torch.cat([x[:1], -x[1:]]))]
    apart = (logits[0] - logits[1]).abs().max().item()
    print(f"teacher {'in evaluation mode' if evaluates else 'as it comes'}: training mode {teacher.training}, trained "
          f"{any(p.requires_grad for p in teacher.parameters())}, {len(moved)} of {len(before)} tensors moved, one image's logits apart {apart:.1e}")
    return teacher.training, set(moved) == of_batches, not moved, apart


as_it_comes, evaluating = distil(False), distil(True)
as_described = as_it_comes[0] and as_it_comes[1] and as_it_comes[3] > 0.01
as_described &= not evaluating[0] and evaluating[2] and evaluating[3] < 1e-5
raise SystemExit(0 if as_described else 3)
PY

venv/bin/python teacher.py 2> errors.txt
case $? in
0) echo "as described: a frozen teacher's BatchNorm goes on" ;;
3) echo "changed: not as described"; exit 1 ;;
*) cat errors.txt >&2; exit 2 ;;
esac
