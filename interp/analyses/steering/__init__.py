"""Does a model go on from the iterate that its activations are moved to?

`steer(model)` moves the layers and returns a dataset. It is made of the tokens that can hold an
iterate (`token_positions`), the read-outs that find it there (`iterate_readouts`) and the prompts
on which one layer at a time is moved (`trial`).
"""

from interp.analyses.steering.steering import SteeringSettings, steer
from interp.analyses.steering.trial import DIRECTIONS

__all__ = ["DIRECTIONS", "SteeringSettings", "steer"]
