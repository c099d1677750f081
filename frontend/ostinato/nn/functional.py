"""The op table's functions of the namespace `nn.functional`."""
