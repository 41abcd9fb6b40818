"""The experiment of `midas shallow --preset quick --evaluator linear`, written for PyTorch on the CPU as a competent user would.

Argument: a folder with the packs private.safetensors and public.safetensors (bench/peers/whole_run.ts). Prints one JSON line. Seeds, initial weights and the order
of images differ from the engine's, so the numbers agree as those of two seeds do.
"""
import json
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F

from bit_errors import load, store

WIDTH, HEIGHT, PEOPLE, PHOTOGRAPHS, TRAINED, HIDDEN = 56, 64, 40, 10, 7, 200
EPOCHS, BATCH, ITERATIONS, EPSILON, DRAWS = 40, 64, 60, 0.01, 3
RATES = [2 ** -6, 2 ** -5, 2 ** -4, 2 ** -3]
SETS = {'fc1': ['0'], 'both': ['0', '1']}
PIXELS = WIDTH * HEIGHT
SCALE = (PIXELS / 10304) ** 0.5

torch.set_num_threads(os.cpu_count())
torch.manual_seed(1)


def pack(name):
    with open(os.path.join(sys.argv[1], name), 'rb') as file:
        size = int.from_bytes(file.read(8), 'little')
        header = json.loads(file.read(size))
        body = file.read()
    part = lambda key, dtype: np.frombuffer(body[slice(*header[key]['data_offsets'])], dtype)
    images = part('images', np.uint8).reshape(-1, PIXELS).astype(np.float32) / 255
    return torch.from_numpy(images), torch.from_numpy(part('labels', np.uint32).astype(np.int64))


def standardised(images):
    images = images.double() - images.double().mean(1, keepdim=True)
    return images / images.norm(dim=1, keepdim=True).clamp(min=1e-12)


images, labels = pack('private.safetensors')
public, _ = pack('public.safetensors')
order = torch.cat([torch.where(labels == person)[0][torch.randperm(PHOTOGRAPHS)] for person in range(PEOPLE)]).view(PEOPLE, PHOTOGRAPHS)
train, held_out = order[:, :TRAINED].flatten(), order[:, TRAINED:].flatten()

# The evaluator: ridge regression on photographs that the victim does not see, in its dual form.
centre = standardised(images[held_out]).mean(0)
rows = standardised(images[held_out]) - centre
gram = rows @ rows.T
gram += 0.1 * gram.diag().mean() * torch.eye(len(gram), dtype=torch.double)
evaluator = rows.T @ torch.linalg.solve(gram, F.one_hot(labels[held_out], PEOPLE).double())

# The victim.
model = torch.nn.Sequential(torch.nn.Linear(PIXELS, HIDDEN), torch.nn.Linear(HIDDEN, PEOPLE))
optimizer = torch.optim.SGD(model.parameters(), 4e-3, momentum=0.9, weight_decay=5e-4)
for _ in range(EPOCHS):
    for batch in train[torch.randperm(len(train))].split(BATCH):
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()
weights = {name: value.detach() for name, value in model.state_dict().items()}
stored = {name: store(value) for name, value in weights.items()}


def logits(own, x):
    return F.linear(F.linear(x, own['0.weight'], own['0.bias']), own['1.weight'], own['1.bias'])


def read(kind, layers, strength):
    """The weights of one draw."""
    if kind == 'none':
        return weights
    if kind == 'errors':
        return {name: load(*each, strength if name.split('.')[0] in layers else 0) for name, each in stored.items()}
    full = {name: each[1] * 2 ** 11 for name, each in stored.items()}
    noisy = lambda name, value: value + strength * full[name] * torch.randn_like(value) if name.split('.')[0] in layers else value
    return {name: noisy(name, value) for name, value in weights.items()}


def accuracy(own, which=held_out):
    with torch.inference_mode():
        return (logits(own, images[which]).argmax(1) == labels[which]).float().mean().item()


def total_variation(x):
    x = x.view(-1, HEIGHT, WIDTH)
    smooth = lambda d: torch.sqrt(d * d + EPSILON)
    return (smooth(x[:, :, 1:] - x[:, :, :-1]).sum((1, 2)) + smooth(x[:, 1:] - x[:, :-1]).sum((1, 2))) / PIXELS


def mi_face(own, start, step, weight):
    """All people at once: -log of the confidence plus total variation, normalised steps that shrink to zero."""
    people = torch.arange(PEOPLE)
    x = start.repeat(PEOPLE, 1)
    for iteration in range(ITERATIONS):
        x.requires_grad_()
        objective = F.cross_entropy(logits(own, x), people, reduction='sum') + weight * total_variation(x).sum()
        (gradient,) = torch.autograd.grad(objective, x)
        length = gradient.norm(dim=1, keepdim=True) + 1e-12
        x = (x.detach() - step * (1 - iteration / ITERATIONS) * gradient / length).clamp(0, 1)
    return x


window = torch.exp(-((torch.arange(11) - 5.0) ** 2) / (2 * 1.5 ** 2))
window = window / window.sum()
blur = lambda x: F.conv2d(F.conv2d(x, window.view(1, 1, 11, 1)), window.view(1, 1, 1, 11))
photographs = images[train].view(PEOPLE, TRAINED, PIXELS)
flat = photographs.view(-1, 1, HEIGHT, WIDTH)
photograph_mean, photograph_square = blur(flat), blur(flat ** 2)
directions = standardised(images[train])


def ssim(x):
    """Mean over the photographs of each person."""
    x = x.view(PEOPLE, 1, HEIGHT, WIDTH)
    each = lambda of: of.repeat_interleave(TRAINED, 0)
    mean = blur(x)
    a, b, va = each(mean), photograph_mean, each(blur(x ** 2) - mean ** 2)
    vb, cov = photograph_square - b ** 2, blur(each(x) * flat) - a * b
    values = ((2 * a * b + 1e-4) * (2 * cov + 9e-4)) / ((a ** 2 + b ** 2 + 1e-4) * (va + vb + 9e-4))
    return values.mean((1, 2, 3)).view(PEOPLE, TRAINED).mean(1)


def measures(x):
    own = standardised(x)
    similarities = (own @ directions.T).view(PEOPLE, PEOPLE, TRAINED).mean(2)
    right = similarities.diag()
    wrong = (similarities.sum(1) - right) / (PEOPLE - 1)
    error = ((x[:, None] - photographs) ** 2).mean((1, 2))
    recognised = ((own - centre) @ evaluator).argmax(1) == torch.arange(PEOPLE)
    rank1 = similarities.argmax(1) == torch.arange(PEOPLE)
    mean = lambda value: value.double().mean().item()
    return {'pcc': mean(right), 'lift': mean(right - wrong), 'mse': mean(error), 'psnr': mean(-10 * error.log10()), 'ssim': mean(ssim(x)),
            'rank1': mean(rank1), 'identity': mean(recognised)}


def scale_for(layers, target):
    """The noise that leaves an accuracy: a grid from strong to weak, then two interpolations between its neighbours."""
    at = lambda scale: np.mean([accuracy(read('noise', layers, scale), held_out[::2]) for _ in range(5)])
    curve = [(1.0, at(1.0))]
    while curve[-1][1] < target and curve[-1][0] > 2 ** -9:
        curve.append((curve[-1][0] / 2, at(curve[-1][0] / 2)))
    if len(curve) == 1:
        return 1.0
    (high, high_at), (low, low_at) = curve[-2], curve[-1]
    for _ in range(2):
        scale = low * (high / low) ** ((low_at - target) / max(low_at - high_at, 1e-9))
        found = at(scale)
        if found >= target:
            low, low_at = scale, found
        else:
            high, high_at = scale, found
    return scale


conditions = [('none', 'none', [], 0, 1), ('quantised', 'errors', [], 0, 1)]
for name, layers in SETS.items():
    conditions += [(f'errors {rate} {name}', 'errors', layers, rate, DRAWS) for rate in RATES]
for name, layers in SETS.items():
    for rate in RATES:
        target = np.mean([accuracy(read('errors', layers, rate), held_out[::2]) for _ in range(5)])
        if target < accuracy(weights, held_out[::2]):
            conditions.append((f'noise like {rate} {name}', 'noise', layers, scale_for(layers, target), DRAWS))

attacks = [(torch.zeros(1, PIXELS), 8 * SCALE, 5000 * SCALE ** 2), (public.mean(0, keepdim=True), 4 * SCALE, 500 * SCALE ** 2)]
results = {}
for name, kind, layers, strength, draws in conditions:
    for draw in range(draws):
        own = read(kind, layers, strength)
        rows = [measures(mi_face(own, *attack)) for attack in attacks]
        results.setdefault(name, []).append({'accuracy': accuracy(own), 'zero': rows[0], 'mean': rows[1]})
print(json.dumps({'version': torch.__version__, 'draws': sum(len(each) for each in results.values()), 'none': results['none'][0], 'all': results}))
