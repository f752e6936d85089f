"""ParchGrad: gradients in which the relevant channels speak."""
