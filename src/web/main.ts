/** The page: sends the visitor's choices to the engine, and shows the results of the engine. */

import type { Channels } from '../image_size.ts';
import { pictureFile } from '../results/results.ts';
import { showAdapter, showChecks } from './adapter.ts';
import { AttackPanel, PEOPLE_LINES, peopleCaption } from './attack_panel.ts';
import { PERSON_ATTACKS } from './choices.ts';
import { Controls, type ControlsOptions } from './controls.ts';
import { Curve } from './curve.ts';
import { byId, el, whenNear } from './dom.ts';
import { Engine } from './engine.ts';
import { fail, placeOf, working } from './failures.ts';
import { FaultMapView } from './fault_map.ts';
import { linkParts } from './links.ts';
import { showLayers } from './machine.ts';
import { MiFacePlayer, sayAttack } from './mi_face_player.ts';
import { NetworkPanel } from './network_panel.ts';
import type { ChosenFile, ChosenImage, Job, JobKind, Reply } from './protocol.ts';
import { DEFAULTS, isSetting, normalised, readSetting, type Setting, writeSetting } from './setting.ts';
import { rateIndex, SHIPPED, type ShippedFaces, shippedFaces, shippedFlips } from './shipped.ts';
import { keyOfRate, shippedCurve } from './shipped_curve.ts';
import { isShippedCurve, Story } from './story.ts';
import { chosenImages, listenForDrops, listenForFiles, UploadPanel } from './upload_panel.ts';
import { pointOf } from './verdict.ts';

/** Names of the jobs, whose end is announced to screen readers. */
const NAMES: Record<JobKind, string> = {
  open: 'starting the engine',
  measure: 'reconstruction',
  curve: 'the curve',
  invert: 'the attack',
  map: 'the fault map',
  own: 'your images',
  bring: 'reading your files',
  attack: 'the attack on your network',
  check: 'the check of the kernels',
};

/** The form of the faces. */
const STORY_CONTROLS: ControlsOptions = {
  ...{ root: 'controls', slider: 'slider', prefix: 'control', strength: 'strength' },
  fields: ['victim', 'memory', 'layers', 'format', 'granularity', 'side', 'attacker', 'release', 'draw', 'seed'],
};

/** Parts of a setting that need no new measurement of the faces. */
const VIEW: readonly (keyof Setting)[] = ['model', 'attack', 'tensor', 'person'];

/** Jobs that can be paused; the others are short. */
const PAUSABLE: readonly (JobKind | undefined)[] = ['measure', 'curve', 'invert', 'attack'];

/** @param hasWebGpu false: the page shows only what came with it */
function start(hasWebGpu: boolean): void {
  const { setting: chosen, wrong } = readSetting(new URLSearchParams(location.search));
  let setting: Setting = chosen;
  let opened = false;
  let everOpened = false;
  /** True if the worker has crashed. Only reloading the page helps; the address keeps the setting. */
  let crashed = false;
  let paused = false;
  let running: JobKind | undefined;
  /** True if the last job was about the network of the visitor. */
  let ofNetwork = false;
  /** Number of the last job; replies about earlier jobs are ignored. */
  let id = 0;
  /** Job that continues when the faces are drawn again: a curve that a move of the slider interrupted. */
  let afterwards: 'curve' | undefined;
  let networks: readonly ChosenFile[] = [];
  /** Files of the visitor that are read when the engine is open. */
  let brings: readonly ChosenFile[] = [];
  let images: readonly ChosenImage[] = [];
  let size = 32;
  let channels: Channels = 1;
  /** Names of the parameters of the victim. */
  let tensors: readonly string[] = [];
  let adapter: Extract<Reply, { kind: 'opened' }> | undefined;
  /** Shipped faces, and the first rate at which each weight of the shipped tensor flips. */
  let shipped: { readonly faces: ShippedFaces; readonly flips?: Uint8Array } | undefined;
  /** True while the slider is dragged: the whole move is one state of the history. */
  let sliding = false;

  const engine = hasWebGpu
    ? new Engine((message) => {
        crashed = true;
        halt('The engine could not be loaded', message);
      })
    : undefined;
  const story = new Story((person) => choose({ person }));
  const curve = new Curve(byId('curve-plot'), byId('curve-controls'), {
    id: 'curve',
    metric: 'identity',
    axis: 'attacker’s pictures recognised',
    outputOf: (of) => story.outputOf(of),
    truthOf: (of) => story.truthOf(of),
    sheet: (of) => story.rows(of),
    onRun: () => send({ kind: 'curve', setting }),
    onDraws: (draws) => choose({ draws }),
    onFailed: ({ message }) => fail(message, 'curve'),
  });
  const inversion = new AttackPanel('inversion');
  const player = new MiFacePlayer(inversion);
  const map = new FaultMapView(byId('map-body'), {
    id: 'map',
    onRun: () => send({ kind: 'map', setting }),
    onTensor: (tensor) => choose({ tensor }),
  });
  const own = new UploadPanel();

  /** Without WebGPU, the page shows what came with it. */
  const noWebGpu = (why: string) => {
    rest('no WebGPU');
    byId('no-webgpu').hidden = false;
    byId('no-webgpu-note').hidden = false;
    byId('no-webgpu-why').textContent = why;
    byId('more').hidden = true;
    setting = { ...DEFAULTS, rate: setting.rate, person: setting.person };
    show();
    buttons();
  };
  /** Shows that no job is running. */
  const rest = (status: string) => {
    running = undefined;
    paused = false;
    delete document.body.dataset.running;
    for (const at of ['network', 'own'] as const) working(at, undefined);
    byId('status-text').textContent = status;
  };
  /** Stops all work until the visitor restarts the engine with a button. */
  const halt = (title: string, why: string) => {
    rest('no device');
    opened = false;
    afterwards = undefined;
    byId('lost').hidden = false;
    byId('lost-title').textContent = title;
    byId('lost-why').textContent = why;
    byId('again').focus();
    buttons();
  };
  const say = (text: string) => {
    byId('live').textContent = text;
  };
  if (wrong.length > 0) fail(`These parts of the address are not valid; their defaults are used: ${wrong.join(', ')}`);

  const buttons = () => {
    for (const id of ['inversion-run', 'check-run']) byId<HTMLButtonElement>(id).disabled = !opened;
    curve.enable(opened);
    map.enable(opened);
    document.body.dataset.device = opened ? 'open' : 'none';
    network.enable(opened);
    for (const input of ['own-images', 'own-networks', 'network-files', 'network-folder'])
      byId<HTMLInputElement>(input).disabled = !opened;
    byId('own-again').hidden = images.length === 0;
    byId<HTMLButtonElement>('own-again').disabled = !opened;
    byId<HTMLButtonElement>('pause').disabled = !PAUSABLE.includes(running);
    byId<HTMLButtonElement>('stop').disabled = running === undefined;
    byId('pause').textContent = paused ? 'Continue' : 'Pause';
  };
  const send = (job: Job) => {
    running = job.kind;
    ofNetwork = job.kind === 'bring' || 'network' in job;
    paused = false;
    if (job.kind !== 'measure') afterwards = undefined;
    if (job.kind !== 'open' && job.kind !== 'measure') fail('');
    document.body.dataset.running = job.kind;
    delete document.body.dataset.ended;
    engine?.send({ ...job, id: ++id });
    buttons();
  };
  const open = () => {
    opened = false;
    byId('lost').hidden = true;
    send({ kind: 'open', url: location.origin + location.pathname, files: networks });
  };
  /** @param files networks of the visitor; none for the shipped ones */
  const openWith = (files: readonly ChosenFile[]) => {
    networks = files;
    byId('own-reset').hidden = files.length === 0;
    open();
  };
  const measure = () => {
    if (opened) send({ kind: 'measure', setting });
  };

  const network = new NetworkPanel(send, ({ message }) => fail(message, 'network'));
  /** Takes files that may hold a network, images for it, or both. */
  const bring = (files: readonly ChosenFile[]) => {
    if (files.length === 0) return;
    if (opened) return send({ kind: 'bring', files });
    if (!engine) return fail('Your files can be read only where WebGPU is; see the end of this page.', 'network');
    brings = files;
    working('network', 'waiting for the engine');
  };

  const controls = new Controls(STORY_CONTROLS, (change) => choose(change));
  const show = () => {
    controls.show(setting);
    const stored = setting.layers.split('+');
    map.offer(
      (tensors.length > 0 ? tensors : [SHIPPED.tensor.name]).filter((name) => stored.includes(name.split('.')[0])),
      setting.tensor,
    );
    byId<HTMLSelectElement>('model').value = setting.model;
    byId<HTMLSelectElement>('attack').value = setting.attack;
    byId('attack-description').textContent = PERSON_ATTACKS.find(({ kind }) => kind === setting.attack)!.description;
    curve.setDraws(setting.draws);
    const members = setting.layers.split('+');
    const [layer] = setting.tensor.split('.');
    showLayers(byId('map-layers'), story.layers(), members, layer);
    byId('map-layers').setAttribute(
      'aria-label',
      `${setting.tensor} lies in ${layer}; in this memory are ${members.join(', ')}`,
    );
    const isShipped = shipped !== undefined && isShippedCurve(setting) && networks.length === 0;
    const index = rateIndex(setting.rate);
    curve.preview(isShipped ? shippedCurve(shipped!.faces) : undefined, keyOfRate(setting.rate));
    const { name, columns } = SHIPPED.tensor;
    const flips = isShipped && index >= 0 && setting.tensor === name ? shipped?.flips : undefined;
    map.follow(setting, flips && { flipped: Array.from(flips, (first) => first <= index), columns });
    story.show(setting);
  };
  /** Makes a choice a state of the history and measures it, unless it only changes what is shown. */
  const choose = (change: Partial<Setting>) => {
    const wanted = { ...setting, ...change };
    // An invalid value is reset to the previous one.
    if (!isSetting(wanted)) return show();
    setting = normalised(wanted);
    fail('');
    const text = writeSetting(setting);
    const address = text === '' ? location.pathname : `?${text}`;
    const slides = 'rate' in change || 'volts' in change;
    if (slides && sliding) history.replaceState(null, '', address);
    else history.pushState(null, '', address);
    sliding = slides;
    show();
    if (!Object.keys(change).every((name) => VIEW.includes(name as keyof Setting))) remeasure();
  };
  const remeasure = () => {
    if (running === 'curve' && !ofNetwork) afterwards = 'curve';
    measure();
  };

  engine?.on('opened', (reply) => {
    opened = true;
    everOpened = true;
    byId('lost').hidden = true;
    adapter = reply;
  });
  engine?.on('victim', (reply) => {
    size = reply.size;
    channels = reply.channels;
    story.open(reply, networks.length > 0);
    if (adapter) showAdapter(adapter, reply);
    tensors = reply.tensors;
    show();
  });
  engine?.on('measured', ({ setting: of, what, attacks }) => {
    story.measured(what, attacks, of);
    for (const { row, pictures } of attacks) curve.picture(pictureFile(row.condition, row.attack), pictures);
    if (what === 'none') story.show(setting);
    document.body.dataset.seen = what;
  });
  engine?.on('weights', (reply) => {
    story.weights(reply);
    story.show(setting);
  });
  engine?.on('pictures', (reply) => {
    if (reply.of === 'network') network.picture(reply);
    else curve.picture(reply.file, reply.pictures);
  });
  engine?.on('results', (reply) => {
    if (reply.of === 'network') return network.results(reply);
    const { setting: of, results, chosen: entries, energy } = reply;
    story.numbers({ ...of, side: setting.side, attacker: setting.attacker }, entries, energy);
    curve.show(of, results);
  });
  const still = matchMedia('(prefers-reduced-motion: reduce)');
  engine?.on('inversion', (reply) => {
    // With reduced motion only the beginning and the end of an attack are shown.
    if (still.matches && reply.what !== 'truth' && !reply.row) return;
    if (reply.of === 'network') network.attacked(reply);
    else inversion.show(reply, ['photographs', 'a training photograph'], PEOPLE_LINES, peopleCaption);
    const { ends } = inversion;
    if (ends) sayAttack(pointOf(ends.none.row), pointOf(ends.memory.row));
  });
  engine?.on('brought', (reply) => {
    network.show(reply);
    byId('network-panel').scrollIntoView({ behavior: still.matches ? 'auto' : 'smooth', block: 'nearest' });
  });
  engine?.on('map', (reply) => (reply.of === 'network' ? network.mapped(reply) : map.show(reply)));
  engine?.on('own', (reply) => own.show(reply));
  engine?.on('checked', ({ checks }) => showChecks(checks));
  engine?.on('progress', ({ id: of, label, done, total, note }) => {
    if (of !== id) return;
    const text = note ? `${label}: ${note}` : label;
    byId('status-text').textContent = text;
    if (running === 'bring') working('network', text);
    if (running === 'own' || (running === 'open' && networks.length > 0)) working('own', text);
    byId<HTMLProgressElement>('status-bar').value = Math.min(done / Math.max(total, 1), 1);
  });
  engine?.on('ended', ({ id: of, job, how }) => {
    if (of !== id) return;
    rest(how === 'done' ? 'ready' : 'stopped');
    document.body.dataset.ended = `${job} ${how}`;
    byId<HTMLProgressElement>('status-bar').value = how === 'done' ? 1 : 0;
    if (job === 'curve' && how === 'done') void (ofNetwork ? network : curve).judge();
    say(`${NAMES[job]} ${how === 'done' ? 'is done' : 'was stopped'}`);
    if (how === 'done' && job === 'open' && brings.length > 0) {
      bring(brings);
      brings = [];
    } else if (how === 'done' && job === 'open') measure();
    else if (how === 'done' && job === 'measure' && afterwards) {
      afterwards = undefined;
      send({ kind: 'curve', setting });
    }
    buttons();
  });
  engine?.on('failed', ({ id: of, job, name, message }) => {
    if (of !== id) return;
    if (job === 'open') {
      if (name === 'AdapterError' && !everOpened) return noWebGpu(message);
      if (networks.length > 0 && name === 'DataError') {
        // Networks that the machine cannot use are reported, and the shipped ones are opened again; a classifier of another
        // number of people is then opened as the visitor's network.
        fail(message, 'own');
        brings = networks;
        return openWith([]);
      }
      return halt('The engine could not start', message);
    }
    rest('stopped');
    afterwards = undefined;
    fail(message, placeOf(job, ofNetwork));
    buttons();
  });
  engine?.on('lost', ({ message }) => halt('The GPU device was lost', `The browser says: ${message.split(';')[0]}`));

  byId('again').addEventListener('click', () => (crashed ? location.reload() : open()));
  byId('pause').addEventListener('click', () => {
    paused = !paused;
    engine?.send({ kind: paused ? 'pause' : 'go on' });
    byId('status-text').textContent = paused ? 'paused' : 'continuing';
    buttons();
  });
  byId('stop').addEventListener('click', () => {
    afterwards = undefined;
    engine?.send({ kind: 'stop' });
  });
  byId('model').addEventListener('change', (event) => {
    choose({ model: (event.target as HTMLSelectElement).value as Setting['model'] });
  });
  byId('attack').append(...PERSON_ATTACKS.map(({ kind, title }) => el('option', { value: kind }, title)));
  byId('attack').addEventListener('change', (event) => choose({ attack: (event.target as HTMLSelectElement).value }));
  byId('inversion-run').addEventListener('click', () => {
    player.stop();
    inversion.begin();
    send({ kind: 'invert', setting });
  });
  byId('check-run').addEventListener('click', () => send({ kind: 'check' }));
  byId('own-images').addEventListener('change', async (event) => {
    try {
      const input = event.target as HTMLInputElement;
      images = await chosenImages(input.files, size, channels);
      // Choosing the same file again must be a change, too.
      input.value = '';
      if (images.length > 0) send({ kind: 'own', setting, images });
    } catch (error) {
      fail((error as Error).message, 'own');
    }
  });
  byId('own-again').addEventListener('click', () => send({ kind: 'own', setting, images }));
  listenForFiles(['own-networks'], openWith);
  listenForFiles(['network-files', 'network-folder'], bring);
  listenForDrops(byId('network-drop'), bring);
  byId('own-reset').addEventListener('click', () => openWith([]));
  byId('slider').addEventListener('change', () => {
    sliding = false;
  });
  addEventListener('popstate', () => {
    const { setting: wanted } = readSetting(new URLSearchParams(location.search));
    if (writeSetting(wanted) === writeSetting(setting)) return;
    setting = wanted;
    fail('');
    show();
    remeasure();
  });
  linkParts(byId('story'));

  show();
  void shippedFaces().then(async (faces) => {
    shipped = { faces };
    story.take(faces);
    show();
    document.body.dataset.shown = 'shipped';
    await whenNear(byId('map'));
    shipped = { faces, flips: await shippedFlips() };
    show();
  });
  void player.start();
  if (engine) open();
  else noWebGpu('This browser offers no WebGPU to this page.');
}

document.documentElement.classList.add('started');
start(navigator.gpu !== undefined);
