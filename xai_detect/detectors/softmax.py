"""Log-odds of softmax probabilities."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary


def softmax_log_odds(logits: Float[Tensor, "*b c"]) -> Float[Tensor, "*b c"]:
    """``ln(p / (1 - p))`` of each softmax probability, exact also where it is close to 0 or 1."""
    return logits - log_sum_of_others(logits)


def log_sum_of_others(logits: Float[Tensor, "*b c"]) -> Float[Tensor, "*b c"]:
    """Per class, ``logsumexp`` over all other classes.

    The strongest class is taken out of its own sum; every other sum holds it, so that taking one
    term away from the sum of all cancels nothing.
    """
    if has_torch_function_unary(logits):  # who watches the calls of torch sees one function
        answer: Tensor = handle_torch_function(log_sum_of_others, (logits,), logits)
        return answer
    top = logits.argmax(dim=-1, keepdim=True)
    shift = logits.detach().gather(-1, top)
    shares = (logits - shift).exp()
    others = (shares.sum(dim=-1, keepdim=True) - shares).scatter(-1, top, 1.0).log() + shift
    below = logits.scatter(-1, top, -torch.inf).logsumexp(dim=-1, keepdim=True)
    return others.scatter(-1, top, below)
