"""A Wide Residual Network of PyTorch's own layers, with wrnc's names.

Pre-activation blocks as in the paper (Table 1, section 2): batch norm and ReLU
before each convolution, dropout before each but the first; where the channels
change, a 1x1 projection of the first ReLU is the shortcut.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import philox


class Run:
    """What the layers of one network share."""

    def __init__(self, seed, dropout):
        self.seed, self.dropout, self.step = seed, dropout, 0
        self.signs = []  # of every ReLU's input, in the order of the forward pass
        self.margin = np.inf  # the least magnitude among them


class ReLU(nn.Module):
    def __init__(self, run):
        super().__init__()
        self.run = run

    def forward(self, x):
        self.run.signs.append((x > 0).numpy())
        self.run.margin = min(self.run.margin, x.detach().abs().min().item())
        return F.relu(x)


class Dropout(nn.Module):
    """Inverted dropout by wrnc's mask."""

    def __init__(self, run, layer):
        super().__init__()
        self.run, self.layer = run, layer

    def forward(self, x):
        p = self.run.dropout
        if not self.training or p == 0:
            return x
        n, c, h, w = x.shape
        keep = philox.mask((n, h, w, c), p, self.layer, self.run.seed, self.run.step)
        keep = torch.from_numpy(keep).permute(0, 3, 1, 2)
        return x * keep.to(x.dtype) * (65536 / (65536 - philox.threshold(p)))


def conv(inputs, outputs, kernel, stride):
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


class Block(nn.Module):
    def __init__(self, run, name, inputs, outputs, stride, kernels, strided):
        super().__init__()
        self.kernels = kernels
        self.proj = conv(inputs, outputs, 1, stride) if inputs != outputs else None
        for i, kernel in enumerate(kernels):
            setattr(self, f"bn{i}", nn.BatchNorm2d(outputs if i else inputs))
            setattr(self, f"relu{i}", ReLU(run))
            setattr(self, f"drop{i}", Dropout(run, f"{name}.drop{i}") if i else nn.Identity())
            setattr(self, f"conv{i + 1}", conv(outputs if i else inputs, outputs, kernel, stride if i == strided else 1))

    def forward(self, x):
        shortcut = x
        for i in range(len(self.kernels)):
            x = getattr(self, f"relu{i}")(getattr(self, f"bn{i}")(x))
            if i == 0 and self.proj is not None:
                shortcut = self.proj(x)
            x = getattr(self, f"conv{i + 1}")(getattr(self, f"drop{i}")(x))
        return x + shortcut


class WRN(nn.Module):
    def __init__(self, case):
        super().__init__()
        self.run = Run(case.seed, case.dropout)
        widths = [16] + [int(base * case.width) for base in (16, 32, 64)]
        self.conv0 = conv(3, widths[0], 3, 1)
        strided = case.kernels.index(3) if case.first3x3 else 0
        for g in (1, 2, 3):
            blocks = nn.Module()
            for b in range(case.blocks):
                inputs = widths[g] if b else widths[g - 1]
                stride = 2 if g > 1 and b == 0 else 1
                setattr(blocks, f"b{b}", Block(self.run, f"g{g}.b{b}", inputs, widths[g], stride, case.kernels, strided))
            setattr(self, f"g{g}", blocks)
        self.groups = [list(getattr(self, f"g{g}").children()) for g in (1, 2, 3)]
        self.bn = nn.BatchNorm2d(widths[3])
        self.relu = ReLU(self.run)
        self.fc = nn.Linear(widths[3], case.classes)

    def forward(self, images):
        """Images are NHWC, as wrnc has them."""
        x = self.conv0(images.permute(0, 3, 1, 2))
        for group in self.groups:
            for block in group:
                x = block(x)
        return self.fc(self.relu(self.bn(x)).mean((2, 3)))


def parameters(net):
    """wrnc's name of each parameter, and the parameter."""
    for name, p in net.named_parameters():
        layer, _, kind = name.rpartition(".")
        if isinstance(net.get_submodule(layer), nn.BatchNorm2d):
            kind = {"weight": "gamma", "bias": "beta"}[kind]
        yield f"{layer}.{kind[0] if kind in ('weight', 'bias') else kind}", p


def norms(net):
    """wrnc's name of the running statistics of each batch norm, and the batch norm."""
    for name, m in net.named_modules():
        if isinstance(m, nn.BatchNorm2d):
            yield f"{name}.run", m


def to_wrnc(t):
    """A parameter's array in wrnc's order: KCRS becomes KRSC, the classifier a 1x1 convolution."""
    t = t.detach()
    if t.dim() == 4:
        t = t.permute(0, 2, 3, 1)
    if t.dim() == 2:
        t = t[:, None, None, :]
    return t.contiguous().numpy().copy()


def from_wrnc(a, like):
    """The inverse of to_wrnc, in the type and shape of a parameter."""
    t = torch.from_numpy(np.ascontiguousarray(a)).to(like.dtype)
    if like.dim() == 4:
        t = t.permute(0, 3, 1, 2)
    return t.reshape(like.shape).contiguous()
