#!/usr/bin/env python3
"""A PyTorch training step of a Wide Residual Network, to measure wrnc against.

    python torch_peer.py --net WRN-16-1 --batch 32 --threads 2 [--layout best]

The program builds the network, then answers lines on its standard input with
one JSON object a line on its standard output, so that a benchmark can let it
and wrnc take turns on the same machine:

    at the start   {"ready": true, "torch": ..., "net": ..., "batch": ..., "threads": ...,
                    "layout": ..., "parameters": ..., "probe_seconds": {layout: least, ...}}
    step N         {"seconds": [s1, ..., sN], "loss": ...}   N whole training steps
    quit           ends the program, as the end of the input does
    anything else  {"error": ...}

A step is what training does once per batch: forward, softmax cross-entropy,
backward, and SGD with Nesterov momentum 0.9 and weight decay 5e-4 on every
parameter. The batch is random, fixed and in memory: no data loading is timed.
"""

import argparse
import json
import re
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

CLASSES = 10
IMAGE = 32  # pixels a side
LAYOUTS = {
    "channels_last": torch.channels_last,  # NHWC in memory
    "contiguous": torch.contiguous_format,  # NCHW in memory
}
PROBE_STEPS = 6
WARM_UP_STEPS = 2
MOST_STEPS = 100_000


class Block(nn.Module):
    """B(3,3), pre-activation: BN, ReLU, conv, BN, ReLU, conv, plus the shortcut.

    Where the width changes the shortcut is a 1x1 convolution of the shared
    BN+ReLU output; elsewhere it is the block's input (paper, section 2).
    """

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn0 = nn.BatchNorm2d(inputs)
        self.conv0 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(outputs, outputs, 3, 1, padding=1, bias=False)
        self.shortcut = None
        if inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        shared = F.relu(self.bn0(x), inplace=True)
        carried = x if self.shortcut is None else self.shortcut(shared)
        branch = self.conv0(shared)
        branch = self.conv1(F.relu(self.bn1(branch), inplace=True))
        return branch + carried


class WideResNet(nn.Module):
    """WRN-depth-k for 32x32 pictures (paper, Table 1), depth = 6N+4."""

    def __init__(self, depth, k):
        super().__init__()
        blocks = (depth - 4) // 6
        width = 16
        self.stem = nn.Conv2d(3, width, 3, padding=1, bias=False)
        layers = []
        for group, base in enumerate((16, 32, 64)):
            for block in range(blocks):
                stride = 2 if group > 0 and block == 0 else 1
                layers.append(Block(width, base * k, stride))
                width = base * k
        self.blocks = nn.Sequential(*layers)
        self.bn = nn.BatchNorm2d(width)
        self.classifier = nn.Linear(width, CLASSES)

    def forward(self, x):
        x = self.blocks(self.stem(x))
        x = F.relu(self.bn(x), inplace=True)
        return self.classifier(x.mean((2, 3)))


class Trainer:
    """A network, its optimizer and one fixed batch, in one memory layout."""

    def __init__(self, depth, k, batch, layout):
        torch.manual_seed(0)
        memory_format = LAYOUTS[layout]
        self.model = WideResNet(depth, k).to(memory_format=memory_format).train()
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True
        )
        images = torch.randn(batch, 3, IMAGE, IMAGE)
        self.images = images.contiguous(memory_format=memory_format)
        self.labels = torch.randint(0, CLASSES, (batch,))
        self.loss = float("nan")

    def step(self):
        """Runs one training step and returns its seconds."""
        begun = time.perf_counter()
        self.optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(self.model(self.images), self.labels)
        loss.backward()
        self.optimizer.step()
        seconds = time.perf_counter() - begun
        self.loss = loss.item()
        return seconds

    def parameters(self):
        return sum(p.numel() for p in self.model.parameters())


def choose_layout(depth, k, batch, wanted):
    """Returns a warm trainer, its layout, and the least step of each layout tried."""
    names = list(LAYOUTS) if wanted == "best" else [wanted]
    trainers = {name: Trainer(depth, k, batch, name) for name in names}
    for trainer in trainers.values():
        for _ in range(WARM_UP_STEPS):
            trainer.step()
    probe = {name: float("inf") for name in names}
    for _ in range(PROBE_STEPS if len(names) > 1 else 1):
        # In turns, so that a slow moment of the machine meets both.
        for name, trainer in trainers.items():
            probe[name] = min(probe[name], trainer.step())
    best = min(names, key=probe.get)
    return trainers[best], best, probe


def answer(trainer, line):
    """Returns the reply to one line of the protocol."""
    match = re.fullmatch(r"step ([0-9]{1,6})", line)
    count = int(match.group(1)) if match else 0
    if not 1 <= count <= MOST_STEPS:
        return {"error": f"expected 'step N' with N from 1 to {MOST_STEPS}, or 'quit'; found {line[:80]!r}"}
    seconds = [trainer.step() for _ in range(count)]
    # JSON has no NaN and no infinity.
    loss = trainer.loss if abs(trainer.loss) < float("inf") else None
    return {"seconds": seconds, "loss": loss}


def say(reply):
    print(json.dumps(reply), flush=True)


def network(name):
    """Parses WRN-depth-k into (depth, k)."""
    match = re.fullmatch(r"WRN-([0-9]{1,4})-([0-9]{1,3})", name)
    if match:
        depth, k = int(match.group(1)), int(match.group(2))
        if depth >= 10 and (depth - 4) % 6 == 0 and k >= 1:
            return depth, k
    raise argparse.ArgumentTypeError(f"{name!r} is not WRN-depth-k with depth = 6N+4, such as WRN-16-1")


def positive(text):
    """Parses an integer >= 1."""
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 999999")
    return int(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", type=network, required=True, metavar="WRN-D-K")
    parser.add_argument("--batch", type=positive, default=32)
    parser.add_argument("--threads", type=positive, default=1)
    parser.add_argument("--layout", choices=["best", *LAYOUTS], default="best")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.set_num_interop_threads(1)
    depth, k = args.net
    trainer, layout, probe = choose_layout(depth, k, args.batch, args.layout)
    say({
        "ready": True,
        "torch": torch.__version__,
        "net": f"WRN-{depth}-{k}",
        "batch": args.batch,
        "threads": torch.get_num_threads(),
        "layout": layout,
        "parameters": trainer.parameters(),
        "probe_seconds": probe,
    })
    for line in sys.stdin:
        line = line.strip()
        if line == "quit":
            return
        if line:
            say(answer(trainer, line))


if __name__ == "__main__":
    main()
