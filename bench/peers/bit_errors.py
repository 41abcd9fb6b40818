"""Weights as sign-magnitude codes whose bits flip, as a user of PyTorch would write it."""
import numpy as np
import torch


def store(weight, bits=12):
    """Codes of a tensor, and the value of their unit: the smallest power of two with which the largest magnitude fits."""
    unit = 2.0 ** (np.ceil(np.log2(float(weight.abs().max()))) + 1 - bits)
    codes = torch.clamp(torch.round(weight.abs() / unit), max=2 ** (bits - 1) - 1).to(torch.int16)
    return codes | ((weight < 0).to(torch.int16) << (bits - 1)), unit


def load(codes, unit, rate, bits=12):
    """The weights that a read returns: every bit flips with the probability `rate`. A binomial number of flips, at random places."""
    if rate > 0:
        count = codes.numel() * bits
        flips = int(torch.distributions.Binomial(torch.tensor(float(count)), torch.tensor(rate)).sample())
        places = torch.unique(torch.randint(count, (flips,)))
        masks = torch.zeros(codes.numel(), dtype=torch.int16)
        masks.index_add_(0, torch.div(places, bits, rounding_mode='floor'), (1 << (places % bits)).to(torch.int16))
        codes = codes ^ masks.view_as(codes)
    magnitudes = (codes & (2 ** (bits - 1) - 1)).float() * unit
    return torch.where(codes >> (bits - 1) > 0, -magnitudes, magnitudes)
