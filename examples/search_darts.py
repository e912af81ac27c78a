"""DARTS, first and second order: every candidate of a small space at once, weighed by its probability.

Takes seconds: handwritten digits, a space of three positions (``my_space.py``), no device in the loss.
"""

from my_space import space

from lutra.nas.accuracy.augmentation import Augmentation
from lutra.nas.accuracy.data import digits
from lutra.nas.gradient import Darts, Training

images, held_out = digits(32).subset(range(240)).split(0.2)
weights_images, choices_images = images.split(0.5)
training = Training(epochs=2, batch=16, weights_rate=0.1, augmentation=Augmentation(padding=2, flip=False))

for order in (1, 2):
    search = Darts(space, training=training, choices_rate=0.05, order=order)
    code = search.run(weights_images, choices_images)
    accuracy = search.inherited_accuracy_pct(code, held_out, weights_images)
    print(f"order {order}: {space.label(code)}, {accuracy:.0f} % with the supernet's weights")
    if search.stopped is not None:
        print(f"stopped early: {search.stopped}")
