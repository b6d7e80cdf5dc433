"""Every array shape in a signature of the three packages is checked while the tests run."""

from jaxtyping import install_import_hook

install_import_hook(["hooks", "probes", "interp"], "beartype.beartype")
