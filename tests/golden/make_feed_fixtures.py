#!/usr/bin/python3
"""Writes feed.csv beside it: FEED's and Factor Transfer's pieces in PyTorch, for tests/test_golden_ops.cpp to reproduce.

    /usr/bin/python3 tests/golden/make_feed_fixtures.py      (Debian: python3-torch; a second, one thread)

Columns, inputs and quantities as in ops.csv and losses.csv (make_fixtures.py). Weights and biases are inputs like any other: w0, b0 are
the first layer's.
"""
import torch
import torch.nn.functional as F

from make_fixtures import Case, case_rows, l2_normalise, write

SLOPE, BETA = 0.1, 500


def leaky(x):
    return F.leaky_relu(x, SLOPE)


def ntl(x, *weights):
    for w, b in zip(weights[::2], weights[1::2]):
        x = leaky(F.conv2d(x, w, b, padding=1))
    return x


def decode(x, *weights):
    for w, b in zip(weights[::2], weights[1::2]):
        x = leaky(F.conv_transpose2d(x, w, b, padding=1))
    return x


def autoencode(x, *weights):
    factor = ntl(x, *weights[:6])
    return factor, decode(factor, *weights[6:])


def paraphraser(x, *weights):
    factor, y = autoencode(x, *weights)
    return {"y": y, "factor": factor}


def feed_loss(s, t, *weights):
    """The student's map through its layer, beside one teacher's."""
    return BETA * F.l1_loss(l2_normalise(ntl(s, *weights)), l2_normalise(t))


def shapes(*layers, first=0):
    """(name, shape) of weights and biases, from (in, out); a transposed layer as (in, out, True)."""
    named = {}
    for k, (cin, cout, *transposed) in enumerate(layers):
        named[f"w{first + k}"] = (cin, cout, 3, 3) if transposed else (cout, cin, 3, 3)
        named[f"b{first + k}"] = (cout,)
    return named


AUTOENCODER = shapes((6, 6), (6, 3), (3, 3)) | shapes((3, 3, True), (3, 6, True), (6, 6, True), first=3)
THREE = shapes((5, 7), (7, 7), (7, 7))
CASES = [
    Case("conv_transpose3x3", lambda x, w: {"y": F.conv_transpose2d(x, w, padding=1)}, "padding 1", x=(2, 5, 7, 6), w=(5, 4, 3, 3)),
    Case("conv_transpose3x3_stride2", lambda x, w, b: {"y": F.conv_transpose2d(x, w, b, stride=2, padding=1)}, "stride 2 padding 1",
         x=(2, 5, 4, 3), w=(5, 4, 3, 3), b=(4,)),
    Case("ntl", lambda x, *w: {"y": ntl(x, *w)}, "", x=(2, 5, 6, 4), **THREE),
    Case("paraphraser", paraphraser, "rate 0.5", x=(2, 6, 5, 4), **AUTOENCODER),
    Case("paraphraser_loss", lambda x, *w: F.l1_loss(autoencode(x, *w)[1], x), "rate 0.5", ("x",), x=(2, 6, 5, 4), **AUTOENCODER),
    Case("feed_loss", feed_loss, "beta 500; mean over elements", ("t",), s=(3, 5, 4, 4), t=(3, 7, 4, 4), **THREE),
    Case("feed_distance_l2", lambda s, t: (l2_normalise(s) - l2_normalise(t)).pow(2).flatten(1).sum(1).mean(), "sum; mean over samples",
         ("t",), s=(3, 6, 4, 5), t=(3, 6, 4, 5)),
    Case("feed_distance_sizes", lambda s, t: F.l1_loss(l2_normalise(F.adaptive_avg_pool2d(s, (4, 3))), l2_normalise(t)),
         "the larger map pooled; mean over elements", ("t",), s=(3, 6, 8, 6), t=(3, 6, 4, 3)),
]

if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    write("feed", [row for c in CASES for row in case_rows(c.name, c.setup, c.run(torch.float32), c.run(torch.float64))])
