"""What holds for all tests: array shapes are checked, and no example is judged by its time."""

from hypothesis import settings
from jaxtyping import install_import_hook

install_import_hook(["hooks", "probes", "interp"], "beartype.beartype")  # every public signature

settings.register_profile("untimed", settings.default, deadline=None)
settings.load_profile("untimed")
