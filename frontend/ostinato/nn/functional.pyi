# Printed from ir/ops by runtime/native/generate/stubs.py (make stubs).
# The imports are those that any table may need.
# pyright: reportUnusedImport=false
from ..ops import functions as _functions

binary_cross_entropy_with_logits = _functions.binary_cross_entropy_with_logits
cross_entropy = _functions.cross_entropy
dropout = _functions.dropout
embedding = _functions.embedding
gelu = _functions.gelu
layer_norm = _functions.layer_norm
leaky_relu = _functions.leaky_relu
linear = _functions.linear
log_softmax = _functions.log_softmax
mse_loss = _functions.mse_loss
one_hot = _functions.one_hot
pad = _functions.pad
relu = _functions.relu
rms_norm = _functions.rms_norm
scaled_dot_product_attention = _functions.scaled_dot_product_attention
sigmoid = _functions.sigmoid
silu = _functions.silu
softmax = _functions.softmax
softplus = _functions.softplus
tanh = _functions.tanh
