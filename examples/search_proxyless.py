"""ProxylessNAS: measure the blocks of a space, then search it for a latency, with one path of the supernet in memory.

Takes seconds: handwritten digits, a space of three positions (``my_space.py``), and the null device, whose times are
made up; name "host" instead to search for this machine.
"""

import tempfile
from pathlib import Path

from my_space import space

from lutra.luts import Store
from lutra.nas.accuracy.augmentation import Augmentation
from lutra.nas.accuracy.data import digits
from lutra.nas.gradient import EpochReport, LatencyTerm, Proxyless, Training
from lutra.nas_bridge import TableOracle
from lutra.profiler import make_space_plan, resolve_device, run_campaign


def told(report: EpochReport) -> None:
    print(f"epoch {report.epoch}: loss {report.weights_loss:.2f}, {report.expected_ms:.4f} ms expected")


with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "store.db") as store:
    table = run_campaign(make_space_plan(resolve_device("null"), space.chains()), store).table
assert table is not None
oracle = TableOracle(space, table)
least = oracle.cheapest()
print(f"cheapest of {space.size} networks: {space.label(least.code)}, {least.latency_ms:.4f} ms")

images, held_out = digits(32).subset(range(500)).split(0.2)
weights_images, choices_images = images.split(0.4)

search = Proxyless(
    space,
    latency=LatencyTerm(oracle, target_ms=0.2),
    training=Training(
        epochs=6, warm_up=2, batch=16, weights_rate=0.1, augmentation=Augmentation(padding=2, flip=False)
    ),
    choices_rate=0.1,
)
code = search.run(weights_images, choices_images, on_epoch=told)
accuracy = search.inherited_accuracy_pct(code, held_out, weights_images)
print(f"found: {space.label(code)}, {oracle.latency_ms(code):.4f} ms, {accuracy:.0f} % with the supernet's weights")
