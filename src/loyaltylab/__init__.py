"""Loyalty Lab: from a company's customer data to findings one can act on and check."""

import warnings

__version__ = "0.1.0"

# Said wherever pyspark is installed, used or not, since pandera imports it: it would stand, with this
# machine's paths, in the outputs of a notebook. What the lab asks of Spark is tested against pandas 3.
warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
