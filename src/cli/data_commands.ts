/** The options of `midas data ...` and `midas import`; the code of these commands is loaded when they run. */
import { type Command, Option } from 'commander';
import { FACE_LAYOUTS } from '../data/pack.ts';
import { COLOURS } from '../image_size.ts';
import type { ImportArguments, SynthArguments } from './data.ts';
import { filePath, imageSize } from './option_values.ts';
import { type CommonOptions, Session } from './session.ts';

/** The functions that main.ts passes to every command. */
export interface CommandTools {
  /** Adds the options that all commands have. */
  readonly common: (command: Command, out: string) => Command;
  /** Parses a whole number. */
  readonly whole: (text: string) => number;
  /** The arguments of the command line, for the manifest. */
  readonly args: readonly string[];
}

export function addDataCommands(program: Command, { common, whole, args }: CommandTools): void {
  const data = program
    .command('data')
    .description('data sets: import a folder, render procedural faces, describe a pack');

  common(
    data
      .command('import')
      .argument('<dir>', 'folder of photographs, or .npz or .npy file')
      .description('crop, resize and pack a folder of labelled images, or images of NumPy, into the file --out')
      .addOption(
        new Option('--layout <name>', 'how a folder of photographs is laid out; NumPy files have no layout').choices(
          FACE_LAYOUTS,
        ),
      )
      .option(
        '--size <WxH>',
        'size of the images in pixels; one number for a square (default: 64, or as in NumPy files of square images)',
        imageSize,
      )
      .addOption(
        new Option(
          '--channels <name>',
          'colours of the pack; photographs become gray unless rgb is asked for, because the networks of the presets are gray',
        )
          .choices(COLOURS)
          .default('gray'),
      )
      .option(
        '--class-names <file>',
        'names of all classes in their order, a JSON array or one per line; labels in NumPy files are numbers of these ' +
          'classes (default: in the order of the names of the folders)',
        filePath,
      )
      .option(
        '--skip-bad',
        'leave out files that cannot be used, and list them in the pack; otherwise they are an error',
      )
      .option('--limit <n>', 'import only the first <n> images', whole)
      .option('--exclude <file>', 'text file with the names of people to leave out, one per line', filePath),
    'runs/faces.safetensors',
  ).action(async (dir: string, options: CommonOptions & ImportArguments) => {
    const { dataImport } = await import('./data.ts');
    const { layout, size, channels, classNames, limit, exclude, skipBad } = options;
    const asked = { layout, size, channels, classNames, limit, exclude, skipBad };
    await dataImport(new Session(options, args), dir, asked);
  });

  common(
    data
      .command('info')
      .argument('<file>', 'file of a pack')
      .description('describe a pack: counts, image size, people, checksum, preparation'),
    'runs',
  ).action(async (file: string, options: CommonOptions) => {
    const { dataInfo } = await import('./data.ts');
    await dataInfo(new Session(options, args), file);
  });

  common(
    data
      .command('synth')
      .description('render procedural faces into the pack --out, or into a pack in the folder --out')
      .option('--people <n>', 'number of people', whole, 40)
      .option('--photos <n>', 'number of photographs per person', whole, 10)
      .addOption(
        new Option('--size <n>', 'side of a square image in pixels, or width x height, such as 56x64')
          .argParser(imageSize)
          .default(imageSize('64'), '64'),
      )
      .addOption(
        new Option('--population <name>', 'which people to render; the two populations share nobody')
          .choices(['private', 'public'])
          .default('private'),
      )
      .option('--png <dir>', 'also write the images as PNG into this folder, one subfolder per person', filePath),
    'runs/faces',
  ).action(async (options: CommonOptions & SynthArguments & { size: { width: number; height: number } }) => {
    const { dataSynth } = await import('./data.ts');
    const { people, photos, size, population, png } = options;
    await dataSynth(new Session(options, args), { people, photos, ...size, population, png });
  });

  common(
    program
      .command('import')
      .argument('<file>', 'file of ONNX, PyTorch or safetensors, under any name')
      .description('convert a network to the checkpoint --out, which runs can load')
      .option(
        '--network <file>',
        'description in JSON of the network whose parameters a file of PyTorch holds',
        filePath,
      )
      .option('--key <name>', 'dictionary that holds the network, such as state_dict, where the file has several')
      .option('--half', 'round the weights to half floats, which take half the space'),
    'runs/imported.safetensors',
  ).action(async (file: string, options: CommonOptions & { key?: string; half?: boolean; network?: string }) => {
    const { importCheckpoint } = await import('./import.ts');
    await importCheckpoint(new Session(options, args), file, options);
  });
}
