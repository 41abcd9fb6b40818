"""PyTorch on the CPU, with all cores, used as its users would: torch.nn.functional, autograd, its own optimisers.

Answers one JSON request per line of stdin with one JSON line on stdout (bench/peers/pytorch.ts). Argument: the clock, wall or cpu.
"""
import base64
import json
import os
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

from bit_errors import load, store

# By default hyperthreads stay idle, which our engine uses too.
torch.set_num_threads(os.cpu_count())

COMPARED_STEPS = 4  # as in engine.ts
SHORTEST = 50  # milliseconds, as in bench/timing.ts
EPSILON, MOMENTUM = 1e-5, 0.1


def milliseconds():
    if sys.argv[1] == 'cpu':
        return time.process_time() * 1000 / os.cpu_count()
    return time.perf_counter() * 1000


def pair(value):
    return tuple(value) if isinstance(value, list) else (value, value)


def activate(name, x):
    return x if name == 'none' else {'relu': F.relu, 'relu6': F.relu6, 'sigmoid': torch.sigmoid, 'tanh': torch.tanh}[name](x)


def layer_output(layer, x, own, training):
    kind = layer['kind']
    batch = x.shape[0]

    def image():
        size = layer['input']
        return x.reshape(batch, size['channels'], size['height'], size['width'])

    if kind in ('reshape', 'dropout'):
        return x
    if kind == 'dense':
        return F.linear(x.reshape(batch, layer['inputs']), own('weight'), own('bias'))
    if kind == 'conv2d':
        return F.conv2d(image(), own('weight'), own('bias'), pair(layer['stride']), pair(layer['padding']), groups=layer.get('groups', 1))
    if kind == 'conv_transpose2d':
        return F.conv_transpose2d(image(), own('weight'), own('bias'), pair(layer['stride']), pair(layer['padding']))
    if kind == 'batch_norm':
        return F.batch_norm(image(), own('running_mean'), own('running_var'), own('weight'), own('bias'), training, MOMENTUM, EPSILON)
    if kind == 'max_pool':
        return F.max_pool2d(image(), layer['kernelSize'])
    if kind == 'global_avg_pool':
        return x.mean((2, 3))
    raise ValueError(f'no compared network has a layer of the kind {kind}')


def forward(layers, parameters, x, training=False):
    results = {}
    for layer in layers:
        inputs = [results[name] for name in layer['from']] if 'from' in layer else [x]
        if layer['kind'] == 'add':
            x = inputs[0] + inputs[1]
        else:
            x = layer_output(layer, inputs[0], lambda part: parameters.get(f"{layer['name']}.{part}"), training)
        x = activate(layer.get('activation', 'none'), x)
        results[layer['name']] = x
    return x.reshape(x.shape[0], -1)


def build_gemm(case, t):
    a, b = t['a'], t['b']
    a = a.T if case['transposition'] == 'tn' else a
    b = b.T if case['transposition'] == 'nt' else b
    run = lambda: a @ b
    return run, run


def build_conv(case, t):
    large, small, weight = t['large'], t['small'], t['weight']
    stride, padding = case['stride'], case['padding']
    if case['operation'] == 'forward':
        run = lambda: F.conv2d(large, weight, None, stride, padding)
    elif case['operation'] == 'input gradient':
        run = lambda: torch.nn.grad.conv2d_input(large.shape, weight, small, stride, padding)
    else:
        run = lambda: torch.nn.grad.conv2d_weight(large, weight.shape, small, stride, padding)
    return run, run


def build_inference(case, t):
    def run():
        with torch.inference_mode():
            return forward(case['layers'], t, t['images'])
    return run, run


def build_training(case, t):
    trained = [tensor.requires_grad_() for name, tensor in t.items() if '.' in name and '.running_' not in name]
    options = case['optimizer']
    if options['kind'] == 'sgd':
        optimizer = torch.optim.SGD(trained, options['learningRate'], options['momentum'], weight_decay=options['weightDecay'])
    else:
        optimizer = torch.optim.Adam(trained, options['learningRate'], tuple(options['betas']), options['epsilon'], amsgrad=True)
    vectors, images = t.get('vectors'), t['images']
    labels = t['labels'].long() if vectors is None else None

    def run():
        optimizer.zero_grad(set_to_none=True)
        output = forward(case['layers'], t, images if vectors is None else vectors, True)
        loss = F.cross_entropy(output, labels) if vectors is None else F.mse_loss(output, images)
        loss.backward()
        optimizer.step()
        return loss.item()
    return (lambda: torch.tensor([run() for _ in range(COMPARED_STEPS)])), run


def build_defended(case, t):
    """Weights and biases as codes of 12 bits, whose bits flip anew in every pass."""
    stored = {name: store(weight) for name, weight in t.items() if '.' in name}

    def run(rate=case['bitErrorRate']):
        with torch.inference_mode():
            return forward(case['layers'], {name: load(*each, rate) for name, each in stored.items()}, t['images'])
    return (lambda: run(0)), run


BUILD = {
    'gemm': build_gemm,
    'conv': build_conv,
    'inference': build_inference,
    'exported': build_inference,
    'training': build_training,
    'defended': build_defended,
}
state = {'run': None, 'repeats': 1}


def timed(repeats):
    start = milliseconds()
    for _ in range(repeats):
        state['run']()
    return (milliseconds() - start) / repeats


def answer(request):
    kind = request['kind']
    if kind == 'describe':
        return {'version': torch.__version__, 'adapter': f'CPU, {torch.get_num_threads()} threads'}
    if kind == 'build':
        values = np.fromfile(request['file'], dtype='<f4')
        tensors = {}
        for name, shape, at in request['tensors']:
            count = int(np.prod(shape))
            tensors[name] = torch.from_numpy(values[at:at + count].reshape(shape).copy())
        results, state['run'] = BUILD[request['case']['kind']](request['case'], tensors)
        return base64.b64encode(results().detach().contiguous().float().numpy().tobytes()).decode()
    if kind == 'warm':
        first = timed(1)
        state['repeats'] = 1 if first >= SHORTEST else max(1, int(np.ceil(SHORTEST / max(timed(2), 1e-3))))
        return state['repeats']
    return timed(state['repeats'])


for line in sys.stdin:
    try:
        reply = {'value': answer(json.loads(line))}
    except Exception as error:  # the reason goes to the parent, which leaves the case out
        reply = {'error': f'{type(error).__name__}: {error}'}
    print(json.dumps(reply), flush=True)
