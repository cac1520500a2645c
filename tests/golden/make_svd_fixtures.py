#!/usr/bin/python3
"""Writes svd.csv beside it: leading right singular vectors, and their alignment, in PyTorch, for tests/test_golden_ops.cpp to reproduce.

    /usr/bin/python3 tests/golden/make_svd_fixtures.py      (Debian: python3-torch; a second, one thread)

Columns, inputs and quantities as in ops.csv (make_fixtures.py), but both values are those of double precision: PyTorch's float SVD is
1e-5 off. A map N,C,H,W is seen as matrices (H·W, C) after its ReLU; the vectors come as N,C,1,count.
"""
import torch

from make_fixtures import Case, case_rows, write


def vectors(x, count):
    """Oriented so that their components sum to >= 0."""
    v = torch.linalg.svd(torch.relu(x).flatten(2).transpose(1, 2), full_matrices=False).Vh[:, :count]
    v = v * torch.where(v.sum(2, keepdim=True) < 0, -1.0, 1.0)
    return v.transpose(1, 2).unsqueeze(2)


def aligned(s, t):
    v, w = vectors(s, 4)[:, :, 0], vectors(t, 2)[:, :, 0]  # N,C,count
    cosine = w.transpose(1, 2) @ v
    best = cosine.abs().argmax(2, keepdim=True)
    sign = torch.sign(cosine.gather(2, best)).detach().transpose(1, 2)
    return (v.gather(2, best.transpose(1, 2).expand(-1, v.shape[1], -1)) * sign).unsqueeze(2)


CASES = [
    Case(f"svd_{name}_{count}", lambda x, count=count: {"y": vectors(x, count)}, f"ReLU; count {count}", x=shape)
    for name, shape in (("tall", (2, 6, 5, 4)), ("square", (2, 9, 3, 3)), ("wide", (2, 20, 3, 3)))
    for count in (1, 4)
] + [Case("svd_aligned", lambda s, t: {"y": aligned(s, t)}, "ReLU; 4 to 2", ("t",), s=(3, 7, 4, 4), t=(3, 7, 2, 3))]

if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    doubles = [(c, c.run(torch.float64)) for c in CASES]
    write("svd", [row for c, f64 in doubles for row in case_rows(c.name, c.setup, f64, f64)])
