"""How far a reconstruction is from its image, for training, without a network that judges."""

from torch import Tensor
from torch.nn import functional


def reconstruction_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """2 * absolute error of brightness + 6 * of colour + 0.5 * of gradients at three scales + 0.2 * (1 - SSIM).

    Args:
        found, wanted: images ``[B, C, H, W]`` in [-1, 1].

    Returns:
        A scalar, 0 for equal images.
    """
    error = found - wanted
    brightness = error.mean(dim=1, keepdim=True)
    # Most images differ little in colour, so that its error needs more weight to be heard.
    loss = 2 * brightness.abs().mean() + 6 * (error - brightness).abs().mean()
    loss = loss + 0.2 * (1 - structural_similarity(found, wanted))
    for scale in range(3):
        coarse = functional.avg_pool2d(error, 2**scale) if scale else error
        loss = loss + 0.5 / 3 * (coarse.diff(dim=2).abs().mean() + coarse.diff(dim=3).abs().mean())
    return loss


def structural_similarity(first: Tensor, second: Tensor, window: int = 7) -> Tensor:
    """Mean structural similarity of images in [-1, 1], over uniform windows at every second pixel.

    Source: Wang et al., Image quality assessment (2004), equation 13, with K1 = 0.01, K2 = 0.03 and a range of 2.
    """

    def smooth(x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, window, stride=2)

    means = smooth(first), smooth(second)
    spreads = smooth(first * first) - means[0] ** 2, smooth(second * second) - means[1] ** 2
    joint = smooth(first * second) - means[0] * means[1]
    light = (2 * means[0] * means[1] + 4e-4) / (means[0] ** 2 + means[1] ** 2 + 4e-4)
    return (light * (2 * joint + 3.6e-3) / (spreads[0] + spreads[1] + 3.6e-3)).mean()
