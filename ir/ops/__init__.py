"""The op table by kind; importing this package fills `ir.op.OPS`."""

from . import pointwise as pointwise
from . import reduce as reduce
