/** The page: what a visitor chooses goes to the engine, what the engine finds comes onto the page. */
import { showAdapter, showChecks } from './adapter.ts';
import { Controls } from './controls.ts';
import { Curve } from './curve.ts';
import { byId, el } from './dom.ts';
import { Engine } from './engine.ts';
import { FaultMap } from './fault_map.ts';
import { Inversion } from './mi_face.ts';
import { chosenFiles, chosenImages, Own } from './own.ts';
import type { ChosenFile, ChosenImage, Job, JobKind } from './protocol.ts';
import { readSetting, type Setting, vendorOf, voltsOf, writeSetting } from './setting.ts';
import { Story } from './story.ts';

function noWebGpu(why: string): void {
  byId('no-webgpu').hidden = false;
  byId('no-webgpu-why').textContent = why;
  for (const id of ['main', 'status', 'lost']) byId(id).hidden = true;
}

/** Jobs whose end is told to screen readers. */
const NAMES: Record<JobKind, string> = {
  open: 'starting the engine',
  look: 'reconstruction',
  curve: 'the curve',
  invert: 'MI-Face',
  map: 'the fault map',
  own: 'your images',
  check: 'the check of the kernels',
};

function start(): void {
  const { setting: chosen, wrong } = readSetting(new URLSearchParams(location.search));
  let setting: Setting = chosen;
  let opened = false;
  let paused = false;
  let running: JobKind | undefined;
  /** Of the last job; what is said of others before it does not count any more. */
  let id = 0;
  /** What goes on when the faces are drawn again: a curve that a move of the slider interrupted. */
  let afterwards: 'curve' | undefined;
  let networks: readonly ChosenFile[] = [];
  let images: readonly ChosenImage[] = [];
  let size = 32;

  const engine = new Engine((message) => fail(message));
  const story = new Story();
  const curve = new Curve(story);
  const inversion = new Inversion();
  const map = new FaultMap();
  const own = new Own();

  const fail = (message: string) => {
    byId('failure').hidden = message === '';
    byId('failure').textContent = message;
  };
  const say = (text: string) => {
    byId('live').textContent = text;
  };
  if (wrong.length > 0) fail(`Not understood in the address, and left at the default: ${wrong.join(', ')}`);

  const buttons = () => {
    for (const id of ['curve-run', 'inversion-run', 'map-run', 'check-run']) {
      byId<HTMLButtonElement>(id).disabled = !opened;
    }
    byId<HTMLButtonElement>('pause').disabled = running === undefined;
    byId<HTMLButtonElement>('stop').disabled = running === undefined;
    byId('pause').textContent = paused ? 'Go on' : 'Pause';
  };
  const send = (job: Job) => {
    running = job.kind;
    paused = false;
    document.body.dataset.running = job.kind;
    delete document.body.dataset.ended;
    engine.send({ ...job, id: ++id });
    buttons();
  };
  const open = () => {
    opened = false;
    byId('lost').hidden = true;
    send({ kind: 'open', url: location.origin + location.pathname, files: networks });
  };
  const look = () => {
    if (opened) send({ kind: 'look', setting });
  };

  const controls = new Controls((change) => choose(change));
  const show = () => {
    controls.show(setting);
    byId<HTMLSelectElement>('tensor').value = setting.tensor;
    byId<HTMLSelectElement>('model').value = setting.model;
    byId<HTMLInputElement>('draws').value = String(setting.draws);
    story.show(setting);
  };
  /** Takes what a visitor chose into the address and, where it is of the memory, looks through it. */
  const choose = (change: Partial<Setting>) => {
    const before = setting;
    setting = { ...setting, ...change };
    if (setting.memory !== before.memory || setting.layers !== before.layers) {
      const layer = setting.layers.split('+')[0];
      if (!setting.layers.split('+').includes(setting.tensor.split('.')[0])) setting.tensor = `${layer}.weight`;
    }
    const vendor = vendorOf(setting.memory);
    if (vendor) setting.volts = Math.max(setting.volts, voltsOf(vendor, setting).at(-1)!);
    const text = writeSetting(setting);
    history.replaceState(null, '', text === '' ? location.pathname : `?${text}`);
    show();
    if (!('model' in change) && !('tensor' in change)) {
      if (running === 'curve') afterwards = 'curve';
      look();
    }
  };

  engine.on('opened', (reply) => {
    opened = true;
    size = reply.size;
    story.open(reply);
    showAdapter(reply);
    const tensors = reply.tensors.map((name) => el('option', { value: name, selected: name === setting.tensor }, name));
    byId('tensor').replaceChildren(...tensors);
    show();
  });
  engine.on('look', ({ what, seen }) => {
    story.look(what, seen);
    story.show(setting);
    document.body.dataset.seen = what;
  });
  engine.on('results', ({ setting: of, results, chosen: entries }) => {
    const energy = results.rows.findLast(({ condition }) => condition.kind !== 'none')?.energy;
    story.numbers(setting, entries, energy);
    curve.show(of, results);
  });
  const still = matchMedia('(prefers-reduced-motion: reduce)');
  engine.on('inversion', (reply) => {
    // Without motion only the beginning and the end of an attack are shown.
    if (!still.matches || reply.what === 'truth' || reply.row) inversion.show(reply);
  });
  engine.on('map', (reply) => map.show(reply));
  engine.on('own', (reply) => own.show(reply));
  engine.on('checked', ({ checks }) => showChecks(checks));
  engine.on('progress', ({ id: of, label, done, total, note }) => {
    if (of !== id) return;
    byId('status-text').textContent = note ? `${label}: ${note}` : label;
    byId<HTMLProgressElement>('status-bar').value = Math.min(done / Math.max(total, 1), 1);
  });
  engine.on('ended', ({ id: of, job, how }) => {
    if (of !== id) return;
    running = undefined;
    paused = false;
    delete document.body.dataset.running;
    document.body.dataset.ended = `${job} ${how}`;
    byId('status-text').textContent = how === 'done' ? 'ready' : 'stopped';
    byId<HTMLProgressElement>('status-bar').value = how === 'done' ? 1 : 0;
    say(`${NAMES[job]} ${how === 'done' ? 'is done' : 'was stopped'}`);
    if (how === 'done' && job === 'open') look();
    else if (how === 'done' && job === 'look' && afterwards) {
      afterwards = undefined;
      send({ kind: 'curve', setting });
    }
    buttons();
  });
  engine.on('failed', ({ id: of, job, message }) => {
    if (of !== id) return;
    running = undefined;
    delete document.body.dataset.running;
    byId('status-text').textContent = 'stopped';
    if (job === 'open' && /WebGPU/.test(message)) noWebGpu(message);
    else fail(message);
    buttons();
  });
  engine.on('lost', ({ message }) => {
    opened = false;
    running = undefined;
    delete document.body.dataset.running;
    byId('lost').hidden = false;
    byId('lost-why').textContent = `The browser says: ${message.split(';')[0]}`;
    byId('status-text').textContent = 'no device';
    byId('again').focus();
    buttons();
  });

  byId('again').addEventListener('click', open);
  byId('pause').addEventListener('click', () => {
    paused = !paused;
    engine.send({ kind: paused ? 'pause' : 'go on' });
    byId('status-text').textContent = paused ? 'paused' : 'going on';
    buttons();
  });
  byId('stop').addEventListener('click', () => {
    afterwards = undefined;
    engine.send({ kind: 'stop' });
  });
  byId('draws').addEventListener('change', (event) => {
    const value = (event.target as HTMLInputElement).valueAsNumber;
    if (Number.isInteger(value) && value >= 1 && value <= 100) choose({ draws: value });
  });
  byId('curve-run').addEventListener('click', () => send({ kind: 'curve', setting }));
  byId('model').addEventListener('change', (event) => {
    choose({ model: (event.target as HTMLSelectElement).value as Setting['model'] });
  });
  byId('inversion-run').addEventListener('click', () => {
    inversion.begin();
    send({ kind: 'invert', setting });
  });
  byId('tensor').addEventListener('change', (event) => choose({ tensor: (event.target as HTMLSelectElement).value }));
  byId('map-run').addEventListener('click', () => send({ kind: 'map', setting }));
  byId('check-run').addEventListener('click', () => send({ kind: 'check' }));
  byId('own-images').addEventListener('change', async (event) => {
    try {
      fail('');
      images = await chosenImages((event.target as HTMLInputElement).files, size);
      if (images.length > 0) send({ kind: 'own', setting, images });
    } catch (error) {
      fail((error as Error).message);
    }
  });
  byId('own-networks').addEventListener('change', async (event) => {
    fail('');
    networks = await chosenFiles((event.target as HTMLInputElement).files);
    byId('own-reset').hidden = networks.length === 0;
    if (networks.length > 0) open();
  });
  byId('own-reset').addEventListener('click', () => {
    networks = [];
    byId('own-reset').hidden = true;
    open();
  });

  show();
  open();
}

if (navigator.gpu) start();
else noWebGpu('This browser offers no WebGPU to this page.');
