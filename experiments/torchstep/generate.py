"""Write what PyTorch computes in training steps of small networks.

    python generate.py FOLDER

One safetensors file a case; README.md says what is in it.
"""

import json
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

import network
import philox

STEPS = 2
MOMENTUM, DECAY, LR = 0.9, 5e-4, 0.1
SPARSE, LARGE = 13, 1000  # of a result of LARGE elements or more, each SPARSE-th is kept


@dataclass
class Case:
    file: str
    text: str  # the network in wrnc's language; the fields below say the same
    blocks: int  # a group
    width: float
    height: int = 8
    breadth: int = 8
    kernels: tuple = (3, 3)
    first3x3: bool = False
    dropout: float = 0.0
    nesterov: bool = True
    batches: tuple = (4, 4)  # pictures of each step
    drawn: bool = False  # the initial state is wrnc's for this seed, and results are sparse
    seed: int = 0x9E3779B97F4A7C15
    first: int = 7  # %step of the first step
    classes: int = 10
    random: int = 1  # of pictures, labels and the initial state if it is not drawn


CASES = [
    Case("wrn-10-1", "model WRN-10-1", 1, 1, drawn=True),
    Case("wrn-10-2", "model WRN-10-2", 1, 2, drawn=True),
    Case("dropout", "model WRN-16-0.25; dropout 0.3", 2, 0.25, 9, 7, dropout=0.3, batches=(4, 3)),
    Case("b313", "model WRN-10-0.25-B(3,1,3); dropout 0.45", 1, 0.25, 8, 8, kernels=(3, 1, 3), dropout=0.45, batches=(4, 4)),
    Case("b13-plain", "model WRN-10-0.375-B(1,3) { stride first3x3 }; train torch", 1, 0.375, 7, 9,
         kernels=(1, 3), first3x3=True, nesterov=False, batches=(4, 3)),
]  # fmt: skip


def initial(case, net):
    """The state before the first step, by wrnc's names, representable in float32."""
    r = np.random.Generator(np.random.PCG64(case.random))
    state = {}
    for name, p in network.parameters(net):
        shape = network.to_wrnc(p).shape
        fan = int(np.prod(shape[1:]))
        kind = name.rpartition(".")[2]
        if case.drawn:
            draw = {
                "w": lambda: philox.normal(shape, name, case.seed, np.sqrt(2 / fan)),
                "gamma": lambda: philox.uniform(shape, name, case.seed, 0, 1),
            }
            if name == "fc.w":
                draw["w"] = lambda: philox.uniform(shape, name, case.seed, -1 / np.sqrt(fan), 1 / np.sqrt(fan))
            state[name] = draw.get(kind, lambda: np.zeros(shape))()
            state[name + ".v"] = np.zeros(shape)
        else:
            # Nothing is left at the zeros or ones at which training starts.
            state[name] = {
                "w": lambda: r.standard_normal(shape) * np.sqrt(2 / fan),
                "gamma": lambda: r.uniform(0.5, 1.5, shape),
                "beta": lambda: r.standard_normal(shape) * 0.2,
                "b": lambda: r.standard_normal(shape) * 0.2,
            }[kind]()
            state[name + ".v"] = r.standard_normal(shape) * 0.05
    for name, m in network.norms(net):
        c = m.num_features
        state[name] = np.stack([np.zeros(c), np.ones(c)] if case.drawn else [r.standard_normal(c), r.uniform(0.5, 2, c)])
    return {name: v.astype(np.float32) for name, v in state.items()}


def pictures(case):
    """The batch of each step, and one for evaluation: images NHWC, labels."""
    r = np.random.Generator(np.random.PCG64(case.random + 1000))
    return [
        (r.standard_normal((n, case.height, case.breadth, 3)).astype(np.float32), r.integers(0, case.classes, n).astype(np.int32))
        for n in (*case.batches, 4)
    ]


def loss(logits, labels):
    """What xent reports: the sum of the losses, the number of mistakes."""
    total = F.cross_entropy(logits, labels, reduction="sum")
    return np.array([total.item(), (logits.argmax(1) != labels).sum().item()])


def run(case, dtype):
    """Train in one precision. Returns results by name, and the run for its ReLUs."""
    net = network.WRN(case).to(dtype)
    params = dict(network.parameters(net))
    state = initial(case, net)
    opt = torch.optim.SGD(params.values(), lr=LR, momentum=MOMENTUM, weight_decay=DECAY, nesterov=case.nesterov)
    with torch.no_grad():
        for name, p in params.items():
            p.copy_(network.from_wrnc(state[name], p))
            opt.state[p]["momentum_buffer"] = network.from_wrnc(state[name + ".v"], p)
        for name, m in network.norms(net):
            m.running_mean.copy_(torch.from_numpy(state[name][0]))
            m.running_var.copy_(torch.from_numpy(state[name][1]))
    *steps, (images, labels) = pictures(case)
    out = {}
    net.train()
    for i, (x, y) in enumerate(steps):
        net.run.step = case.first + i
        logits = net(torch.from_numpy(x).to(dtype))
        target = torch.from_numpy(y).long()
        out[f"{i + 1}/loss"] = loss(logits, target)
        opt.zero_grad()
        F.cross_entropy(logits, target).backward()
        opt.step()
        for name, p in params.items():
            out[f"{i + 1}/{name}"] = network.to_wrnc(p)
            out[f"{i + 1}/{name}.v"] = network.to_wrnc(opt.state[p]["momentum_buffer"])
        for name, m in network.norms(net):
            out[f"{i + 1}/{name}"] = torch.stack([m.running_mean, m.running_var]).numpy().copy()
    net.eval()
    with torch.no_grad():
        logits = net(torch.from_numpy(images).to(dtype))
    out["eval/loss"] = loss(logits, torch.from_numpy(labels).long())
    out["eval/logits"] = logits.numpy()[:, None, None, :]
    return out, state, net.run


def save(path, tensors, metadata):
    """Write a safetensors file, the tensors by name."""
    header, data = {"__metadata__": metadata}, b""
    for name in sorted(tensors):
        a = np.ascontiguousarray(tensors[name])
        raw = a.astype(a.dtype.newbyteorder("<")).tobytes()
        header[name] = {
            "dtype": {"float32": "F32", "int32": "I32"}[a.dtype.name],
            "shape": list(np.shape(tensors[name])),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write(case, folder):
    exact, state, run64 = run(case, torch.float64)
    single, _, run32 = run(case, torch.float32)
    for a, b in zip(run64.signs, run32.signs, strict=True):
        if not np.array_equal(a, b):
            raise SystemExit(f"{case.file}: a ReLU opens in one precision and not in the other; change `random`")
    tensors, worst = {}, 0.0
    for name, want in exact.items():
        scale = np.abs(want).max()
        error = float(np.abs(single[name] - want).max() / scale) if scale else 0.0
        worst = max(worst, error)
        kept = want.reshape(-1)[::SPARSE] if case.drawn and want.size >= LARGE else want
        tensors[name] = kept.astype(np.float32)
        tensors[name + "/error32"] = np.float32(error).reshape(())
    for i, (x, y) in enumerate(pictures(case)):
        at = "eval" if i == STEPS else str(i + 1)
        tensors[f"{at}/images"], tensors[f"{at}/labels"] = x, y
    if not case.drawn:
        tensors |= {f"0/{name}": v for name, v in state.items()}
    metadata = {
        "network": case.text, "height": case.height, "width": case.breadth, "channels": 3, "batch": case.batches[0],
        "steps": STEPS, "seed": case.seed, "first": case.first, "lr": LR, "torch": torch.__version__.partition("+")[0],
        "initial": "drawn" if case.drawn else "given",
    }  # fmt: skip
    path = folder / f"{case.file}.safetensors"
    save(path, tensors, {k: str(v) for k, v in metadata.items()})
    print(f"{path.name}: {path.stat().st_size} bytes; float32 is off by up to {worst:.1e} of the largest; least ReLU input {run64.margin:.1e}")


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    philox.check()
    torch.set_num_threads(1)
    # Torch's own loops, on every machine the same: oneDNN picks others by
    # processor, and torch 2.7.1's corrupts the heap in the backward pass of b313.
    torch.backends.mkldnn.enabled = False
    torch.use_deterministic_algorithms(True)
    for case in CASES:
        write(case, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
