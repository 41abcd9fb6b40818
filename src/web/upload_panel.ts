/** A visitor's own files. They are read in the page and never sent anywhere. */

import { centreSquare, resize, withChannels } from '../data/image_ops.ts';
import type { Channels } from '../image_size.ts';
import { decodeChosen } from './decode_image.ts';
import { byId, Gallery } from './dom.ts';
import type { ChosenFile, ChosenImage, Reply } from './protocol.ts';
import { describe } from './setting.ts';

const MOST = 64;

/** Reads the files of a file input. Those of a folder have their paths in it as names. */
async function chosenFiles(list: Iterable<File> | null): Promise<ChosenFile[]> {
  return Promise.all(
    [...(list ?? [])].map(async (file) => ({
      name: file.webkitRelativePath || file.name,
      bytes: new Uint8Array(await file.arrayBuffer()),
    })),
  );
}

/** The files that were dropped on the page, with those of dropped folders. */
async function droppedFiles({ items }: DataTransfer): Promise<ChosenFile[]> {
  // Entries and files must be taken before the first wait: the list is empty afterwards. A file from a script has no entry.
  const taken = [...items].map((item) => item.webkitGetAsEntry() ?? item.getAsFile());
  const read = async (each: FileSystemEntry | File | null) =>
    each instanceof File ? chosenFiles([each]) : each ? filesOf(each) : [];
  return (await Promise.all(taken.map(read))).flat();
}

async function filesOf(entry: FileSystemEntry): Promise<ChosenFile[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    return [{ name: entry.fullPath.replace(/^\//, ''), bytes: new Uint8Array(await file.arrayBuffer()) }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: ChosenFile[] = [];
  // Chromium returns at most 100 entries at a time.
  for (;;) {
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return found;
    for (const each of entries) found.push(...(await filesOf(each)));
  }
}

/** Calls `take` with the files that the visitor chooses in any of some file inputs. */
export function listenForFiles(ids: readonly string[], take: (files: readonly ChosenFile[]) => void): void {
  for (const id of ids) {
    byId(id).addEventListener('change', async (event) => {
      const input = event.target as HTMLInputElement;
      const files = await chosenFiles(input.files);
      // Choosing the same file again must be a change, too.
      input.value = '';
      if (files.length > 0) take(files);
    });
  }
}

/**
 * Calls `take` with the files that the visitor drops anywhere on the page: elsewhere the browser would leave the page for them.
 * @param zone is marked while files are dragged, and brought into view when they are dropped
 */
export function listenForDrops(zone: HTMLElement, take: (files: readonly ChosenFile[]) => void): void {
  document.addEventListener('dragover', (event) => {
    event.preventDefault();
    zone.classList.add('over');
  });
  document.addEventListener('dragleave', ({ relatedTarget }) => {
    if (!relatedTarget) zone.classList.remove('over');
  });
  document.addEventListener('drop', async (event) => {
    event.preventDefault();
    zone.classList.remove('over');
    if (!event.dataTransfer) return;
    zone.scrollIntoView({ block: 'nearest' });
    take(await droppedFiles(event.dataTransfer));
  });
}

/**
 * Images as the victim takes them: the middle square, gray or RGB, size x size.
 * @throws Error naming a file that is not an image
 */
export async function chosenImages(list: FileList | null, size: number, channels: Channels): Promise<ChosenImage[]> {
  const files = [...(list ?? [])].slice(0, MOST);
  return Promise.all(
    files.map(async (file) => {
      const image = await decodeChosen(new Uint8Array(await file.arrayBuffer()), file.name);
      const { pixels } = resize(withChannels(centreSquare(image), channels), size, size);
      return { name: file.name, pixels: Uint8Array.from(pixels) };
    }),
  );
}

export class UploadPanel {
  readonly #gallery = new Gallery(byId('own-faces'));

  show({ setting, names, rows }: Extract<Reply, { kind: 'own' }>): void {
    this.#gallery.clear();
    for (const [i, { label, pictures, pcc }] of rows.entries()) {
      const notes = pcc?.map((value) => `PCC ${value.toFixed(2).replace('-', '−')}`);
      const detail = i === 2 ? describe(setting) : undefined;
      this.#gallery.show({ id: String(i), label, detail, pictures, notes }, names);
    }
  }
}
