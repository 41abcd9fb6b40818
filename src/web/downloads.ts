/** Files that a visitor downloads. */
import { reconstructionSheet } from '../results/figures/sheet.ts';
import { el } from './dom.ts';
import { encodePng } from './png.ts';
import type { Pictures } from './protocol.ts';

export function download(name: string, content: Blob): void {
  const url = URL.createObjectURL(content);
  el('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** The pictures of a contact sheet. */
export interface Sheet {
  readonly title: string;
  /** One per column. */
  readonly names: readonly string[];
  readonly rows: readonly { readonly label: string; readonly detail: string; readonly pictures: Pictures }[];
}

/** The contact sheet of the shown pictures, drawn as by the command line. */
export function sheetSvg({ title, names, rows }: Sheet, footnote: string): string {
  const [{ pictures }] = rows;
  return reconstructionSheet({
    columns: [...names],
    rows: rows.map(({ label, detail, pictures: { images } }) => ({ label, detail, images: [...images] })),
    width: pictures.width,
    height: pictures.height,
    channels: pictures.channels,
    title,
    footnote,
    encodePng,
  });
}

/** @param svg an SVG that has a width and a height */
export async function svgToPng(svg: string, scale = 1.5): Promise<Blob> {
  const url = URL.createObjectURL(new Blob([svg], { type: 'image/svg+xml' }));
  try {
    const image = new Image();
    image.src = url;
    await image.decode().catch(() => {
      throw new Error(
        'the browser or the policy of this server refuses to draw the picture; save the .svg file instead',
      );
    });
    const canvas = el('canvas', { width: Math.round(image.width * scale), height: Math.round(image.height * scale) });
    canvas.getContext('2d')!.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve, reject) => {
      canvas.toBlob(
        (blob) => (blob ? resolve(blob) : reject(new Error('the browser could not encode the picture'))),
        'image/png',
      );
    });
  } finally {
    URL.revokeObjectURL(url);
  }
}
