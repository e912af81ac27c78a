"""ProxylessNAS with REINFORCE: latencies from a device that is asked one network at a time, and has no gradient.

Takes seconds: handwritten digits, a space of three positions (``my_space.py``); the device is this machine, running
each network in torch. An interrupted search goes on from its checkpoint.
"""

import tempfile
import time
from pathlib import Path

import torch
from my_space import space

from lutra.nas.accuracy.augmentation import Augmentation
from lutra.nas.accuracy.data import digits
from lutra.nas.gradient import EpochReport, LatencyTerm, ProxylessReinforce, Training
from lutra.nas_bridge import FunctionOracle
from lutra.networks import Network
from lutra.networks.exporters import to_torch


def timed_ms(network: Network) -> float:
    """Least of five runs behind one that is not timed."""
    module, image = to_torch(network).eval(), torch.zeros(1, 3, 32, 32)
    times = []
    with torch.no_grad():
        module(image)
        for _ in range(5):
            begun = time.perf_counter()
            module(image)
            times.append(time.perf_counter() - begun)
    return 1e3 * min(times)


def told(report: EpochReport) -> None:
    print(f"epoch {report.epoch}: loss {report.weights_loss:.2f}, certainty {report.certainty:.2f}")


oracle = FunctionOracle(space, timed_ms, device="torch on this machine")
images, held_out = digits(32).subset(range(600)).split(0.2)
weights_images, choices_images = images.split(0.5)
search = ProxylessReinforce(
    space,
    latency=LatencyTerm(oracle, target_ms=oracle.latency_ms([1, 1, 4])),
    training=Training(
        epochs=3, warm_up=1, batch=32, weights_rate=0.1, augmentation=Augmentation(padding=2, flip=False)
    ),
    choices_rate=0.1,
    networks=4,
)
with tempfile.TemporaryDirectory() as folder:
    code = search.run(weights_images, choices_images, checkpoint=Path(folder) / "search.npz", on_epoch=told)
accuracy = search.inherited_accuracy_pct(code, held_out, weights_images)
print(f"found: {space.label(code)}, {oracle.latency_ms(code):.2f} ms, {accuracy:.0f} % with the supernet's weights")
