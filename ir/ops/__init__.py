"""The op table by kind; importing this package fills `ir.op.OPS`."""

from . import activation as activation
from . import arithmetic as arithmetic
from . import attention as attention
from . import comparison as comparison
from . import contract as contract
from . import create as create
from . import index as index
from . import join as join
from . import loss as loss
from . import normalize as normalize
from . import optimizer as optimizer
from . import order as order
from . import random as random
from . import reduce as reduce
from . import rounding as rounding
from . import selection as selection
from . import slicing as slicing
from . import statistics as statistics
from . import transcendental as transcendental
from . import view as view
