"""The PyTorch side of `wrnc bench --against torch`.

    python peer.py THREADS DEVICE PRECISION

DEVICE is cpu or cuda:N; PRECISION is f32, tf32 (cuda) or bf16, by autocast.

The program reads one JSON object a line from its standard input and answers each
with one JSON object a line on its standard output, so that wrnc and it can take
turns on the same machine:

    (at the start)                      {"torch": version, "threads": ..., "device": name}
    {"do": "network", "widths": [16, 16, 32, 64], "blocks": 2, "kernels": [3, 3], "strides": 0,
     "dropout": 0, "side": 32, "classes": 10, "batch": 32, "infer": false, "compile": false}
                                        {"program": ..., "parameters": ..., "probe": {program: least seconds, ...},
                                         "failed": {program: why, ...}}
    {"do": "conv", "kind": "fprop", "batch": 32, "height": 32, "width": 32, "inputs": 16, "outputs": 16,
     "kernel": 3, "pad": 1, "stride": 1}
                                        {"program": ...}
    {"do": "steps", "count": N}         {"seconds": [s1, ..., sN]}: N steps of what was named last
    anything else                       {"error": ...}

It ends with its input. A step of a network is what training does once a batch:
forward, softmax cross-entropy, backward, and SGD with Nesterov momentum 0.9 and
weight decay 5e-4 on every parameter; or, to infer, the logits in evaluation mode.
The batch is random, fixed and in the host's memory; to a GPU each step copies it. Of
the programs that do the same work (two memory layouts, eager or compiled) the fastest of
a few steps is taken. A GPU is waited for before and after the steps that are asked for,
not between them, and each of them is said to take an equal part of the time.
"""

import json
import os
import sys
import time

# What others print goes to standard error.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def say(reply):
    answers.write(json.dumps(reply) + "\n")
    answers.flush()


try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError as missing:
    say({"missing": str(missing)})
    sys.exit(0)

DEVICE = torch.device(sys.argv[2])
PRECISION = sys.argv[3]
ON_GPU = DEVICE.type == "cuda"

LAYOUTS = {
    "channels_last": torch.channels_last,  # NHWC in memory
    "contiguous": torch.contiguous_format,  # NCHW in memory
}
WARM_UP_STEPS = 2
PROBE_STEPS = 6
PROBE_SECONDS = 20.0  # no further round of the probe after this
MOST_STEPS = 100_000


class Block(nn.Module):
    """Pre-activation: batch norm, ReLU and convolution for each kernel, plus the shortcut.

    Dropout comes before each convolution but the first. Where the width changes the
    shortcut is a 1x1 convolution of the first batch norm and ReLU; elsewhere it is
    the block's input (paper, section 2).
    """

    def __init__(self, inputs, outputs, kernels, strided, stride, dropout):
        super().__init__()
        self.norms, self.convs = nn.ModuleList(), nn.ModuleList()
        width = inputs
        for i, kernel in enumerate(kernels):
            self.norms.append(nn.BatchNorm2d(width))
            step = stride if i == strided else 1
            self.convs.append(nn.Conv2d(width, outputs, kernel, step, padding=kernel // 2, bias=False))
            width = outputs
        self.dropout = dropout
        self.shortcut = None
        if inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        carried = x
        for i, (norm, conv) in enumerate(zip(self.norms, self.convs)):
            x = F.relu(norm(x), inplace=True)
            if i == 0 and self.shortcut is not None:
                carried = self.shortcut(x)
            if i > 0 and self.dropout > 0:
                x = F.dropout(x, self.dropout, self.training)
            x = conv(x)
        return x + carried


class WideResNet(nn.Module):
    """The paper's network for small pictures (Table 1)."""

    def __init__(self, job):
        super().__init__()
        width, *widths = job["widths"]
        self.stem = nn.Conv2d(3, width, 3, padding=1, bias=False)
        blocks = []
        for group, outputs in enumerate(widths):
            for block in range(job["blocks"]):
                stride = 2 if group > 0 and block == 0 else 1
                blocks.append(Block(width, outputs, job["kernels"], job["strides"], stride, job["dropout"]))
                width = outputs
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(width)
        self.classifier = nn.Linear(width, job["classes"])

    def forward(self, x):
        x = self.blocks(self.stem(x))
        x = F.relu(self.norm(x), inplace=True)
        return self.classifier(x.mean((2, 3)))


def random_images(job, layout):
    images = torch.randn(job["batch"], 3, job["side"], job["side"])
    return on_host(images.contiguous(memory_format=LAYOUTS[layout]))


def on_host(tensor):
    """Returns the tensor in memory that a GPU copies from while the processor goes on."""
    return tensor.pin_memory() if ON_GPU else tensor


def on_device(tensor):
    return tensor.to(DEVICE, non_blocking=True)


def precise():
    """Returns the context of a forward pass."""
    return torch.autocast(DEVICE.type, dtype=torch.bfloat16, enabled=PRECISION == "bf16")


def compiled_from(model):
    """Returns the model compiled: for a GPU with autotuning and CUDA graphs."""
    return torch.compile(model, mode="max-autotune") if ON_GPU else torch.compile(model)


def begin_step(compiled):
    if compiled and ON_GPU:
        torch.compiler.cudagraph_mark_step_begin()  # what the step before returned may be overwritten


def wait():
    if ON_GPU:
        torch.cuda.synchronize(DEVICE)


def sgd(parameters):
    """Returns the recipe's optimizer: the fused one, the fastest, where torch has it for this machine."""
    recipe = {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4, "nesterov": True}
    try:
        return torch.optim.SGD(parameters, fused=True, **recipe)
    except (TypeError, RuntimeError):
        return torch.optim.SGD(parameters, **recipe)


class Training:
    """A network, its optimizer and one fixed batch."""

    def __init__(self, job, layout, compiled):
        torch.manual_seed(0)
        self.model = WideResNet(job).to(DEVICE, memory_format=LAYOUTS[layout]).train()
        self.compiled = compiled
        self.run = compiled_from(self.model) if compiled else self.model
        self.optimizer = sgd(list(self.model.parameters()))
        self.images = random_images(job, layout)
        self.labels = on_host(torch.randint(0, job["classes"], (job["batch"],)))

    def step(self):
        begin_step(self.compiled)
        self.optimizer.zero_grad(set_to_none=True)
        images, labels = on_device(self.images), on_device(self.labels)
        with precise():
            loss = F.cross_entropy(self.run(images), labels)
        loss.backward()
        self.optimizer.step()


class Inference:
    """A network in evaluation mode and one fixed batch."""

    def __init__(self, job, layout, compiled):
        torch.manual_seed(0)
        self.model = WideResNet(job).to(DEVICE, memory_format=LAYOUTS[layout]).eval()
        self.compiled = compiled
        self.run = compiled_from(self.model) if compiled else self.model
        self.images = random_images(job, layout)

    def step(self):
        begin_step(self.compiled)
        with torch.no_grad() if self.compiled else torch.inference_mode(), precise():
            self.run(on_device(self.images)).cpu()


class Convolution:
    """A convolution, its gradient by the picture (dgrad) or by the weight (wgrad)."""

    def __init__(self, job):
        layout = torch.channels_last
        n, kernel, pad, stride = job["batch"], job["kernel"], job["pad"], job["stride"]
        x = torch.randn(n, job["inputs"], job["height"], job["width"]).contiguous(memory_format=layout)
        w = torch.randn(job["outputs"], job["inputs"], kernel, kernel).contiguous(memory_format=layout)
        if job["kind"] == "fprop":
            self.run = lambda: F.conv2d(x, w, stride=stride, padding=pad)
            return
        g = torch.randn_like(F.conv2d(x, w, stride=stride, padding=pad)).contiguous(memory_format=layout)
        wanted = {"dgrad": [True, False, False], "wgrad": [False, True, False]}[job["kind"]]
        self.run = lambda: torch.ops.aten.convolution_backward(
            g, x, w, None, [stride] * 2, [pad] * 2, [1, 1], False, [0, 0], 1, wanted
        )

    def step(self):
        with torch.inference_mode():
            self.run()


def timed(step, count=1):
    """Returns the seconds of a step, of as many as are done."""
    wait()
    begun = time.perf_counter()
    for _ in range(count):
        step()
    wait()
    return (time.perf_counter() - begun) / count


def turn(step, count):
    """Returns the seconds of each step."""
    return [timed(step, count)] * count if ON_GPU else [timed(step) for _ in range(count)]


def prepared(job, layout, compiled):
    """Returns a warm runner."""
    if compiled:
        torch._dynamo.reset()
        torch._inductor.config.freezing = job["infer"]  # folds batch norm into weights
    runner = (Inference if job["infer"] else Training)(job, layout, compiled)
    for _ in range(WARM_UP_STEPS):
        runner.step()
    return runner


def network(job):
    """Returns the fastest runner for the job and the answer about it."""
    import torch._dynamo
    import torch._inductor.config

    runners, failed = {}, {}
    for compiled in [False, True] if job["compile"] else [False]:
        for layout in ["channels_last"] if compiled and ON_GPU else LAYOUTS:
            name = layout + (" compiled" if compiled else " eager")
            try:
                runners[name] = prepared(job, layout, compiled)
            except Exception as error:  # whatever a compiler may fail with is told
                if not compiled:
                    raise
                failed[name] = f"{type(error).__name__}: {error}"[:2000]
    probe = {name: float("inf") for name in runners}
    until = time.perf_counter() + PROBE_SECONDS
    for _ in range(PROBE_STEPS if len(runners) > 1 else 1):
        # In turns, so that a slow moment of the machine meets all.
        for name, runner in runners.items():
            probe[name] = min(probe[name], timed(runner.step))
        if time.perf_counter() > until:
            break
    best = min(runners, key=probe.get)
    parameters = sum(p.numel() for p in runners[best].model.parameters())
    return runners[best], {"program": best, "parameters": parameters, "probe": probe, "failed": failed}


def conv(job):
    if ON_GPU:
        raise ValueError("convolutions alone are measured on the processor")
    runner = Convolution(job)
    for _ in range(WARM_UP_STEPS):
        runner.step()
    return runner, {"program": "channels_last"}


def main():
    threads = int(sys.argv[1])
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    version, device = torch.__version__, "cpu"
    if ON_GPU:
        try:
            device = torch.cuda.get_device_name(DEVICE)
        except Exception as error:  # no driver, no such GPU, or built without CUDA
            say({"no_gpu": f"{type(error).__name__}: {error}"[:500]})
            return
        version += f" with CUDA {torch.version.cuda} and cuDNN {torch.backends.cudnn.version()}"
        torch.cuda.set_device(DEVICE)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = PRECISION == "tf32"
        torch.backends.cudnn.benchmark = True  # the fastest algorithm of each convolution
    say({"torch": version, "threads": torch.get_num_threads(), "device": device})
    runner = None
    for line in sys.stdin:
        try:
            job = json.loads(line)
            if job["do"] in ("network", "conv"):
                runner = None  # its memory is free before the next takes any
                if ON_GPU:
                    torch.cuda.empty_cache()
                runner, reply = (network if job["do"] == "network" else conv)(job)
            elif job["do"] == "steps":
                if runner is None or not 1 <= job["count"] <= MOST_STEPS:
                    raise ValueError(f"steps: expected 1 to {MOST_STEPS} of a network or a convolution named before")
                reply = {"seconds": turn(runner.step, job["count"])}
            else:
                raise ValueError(f"nothing is known of {line[:80]!r}")
        except Exception as error:  # wrnc tells the user
            reply = {"error": f"{type(error).__name__}: {error}"[:2000]}
        say(reply)


main()
