"""Layers, losses and what goes with them, under PyTorch's names."""

import sys

from . import clip as utils
from . import functional as functional
from . import init as init
from .activations import GELU as GELU
from .activations import Dropout as Dropout
from .activations import Flatten as Flatten
from .activations import Identity as Identity
from .activations import LeakyReLU as LeakyReLU
from .activations import ReLU as ReLU
from .activations import Sigmoid as Sigmoid
from .activations import SiLU as SiLU
from .activations import Softmax as Softmax
from .activations import Tanh as Tanh
from .attention import MultiheadAttention as MultiheadAttention
from .containers import ModuleList as ModuleList
from .containers import Sequential as Sequential
from .linear import Embedding as Embedding
from .linear import Linear as Linear
from .losses import BCEWithLogitsLoss as BCEWithLogitsLoss
from .losses import CrossEntropyLoss as CrossEntropyLoss
from .losses import MSELoss as MSELoss
from .module import Module as Module
from .norms import LayerNorm as LayerNorm
from .norms import RMSNorm as RMSNorm
from .parameter import Parameter as Parameter
from .recurrent import LSTM as LSTM
from .recurrent import LSTMCell as LSTMCell

# So that `from ostinato.nn.utils import clip_grad_norm_` works too.
sys.modules[f"{__name__}.utils"] = utils
