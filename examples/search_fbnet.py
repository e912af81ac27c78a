"""FBNet: Gumbel softmax over every candidate, and the latency of the mask in the loss.

Takes seconds: handwritten digits, a space of three positions (``my_space.py``), and a device that does a billion
multiply-accumulates a second.
"""

from itertools import product

import numpy as np
from my_space import space

from lutra.nas.accuracy.augmentation import Augmentation
from lutra.nas.accuracy.data import digits
from lutra.nas.gradient import EpochReport, FBNet, LatencyTerm, Training
from lutra.nas_bridge import KnownOracle


def told(report: EpochReport) -> None:
    print(f"epoch {report.epoch}: loss {report.weights_loss:.2f}, {report.expected_ms:.2f} ms expected")


codes = np.array(list(product(*(range(len(decision.choices)) for decision in space.decisions))))
oracle = KnownOracle(space, codes, space.costs(codes).macs / 1e6, device="1 GMAC/s", simulated=True)

images, held_out = digits(32).subset(range(320)).split(0.2)
weights_images, choices_images = images.split(0.2)  # the paper's 80 % and 20 %

search = FBNet(
    space,
    latency=LatencyTerm(oracle, target_ms=3.0, form="log"),
    training=Training(
        epochs=3, warm_up=1, batch=32, weights_rate=0.05, augmentation=Augmentation(padding=2, flip=False)
    ),
    choices_rate=0.1,
)
code = search.run(weights_images, choices_images, on_epoch=told)
accuracy = search.inherited_accuracy_pct(code, held_out, weights_images)
print(f"found: {space.label(code)}, {oracle.latency_ms(code):.2f} ms, {accuracy:.0f} % with the supernet's weights")
