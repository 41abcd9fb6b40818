/** Writes the figures of a benchmark run, each as SVG and as PNG. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createDocument, svgToPng } from '../src/cli/render.ts';
import { growthFigure } from './growth_figure.ts';
import { type Ceilings, rooflineFigure } from './roofline.ts';
import type { Row } from './rows.ts';

/** Width of a PNG in pixels: twice that of the figure, for screens with a high resolution. */
const PNG_WIDTH = 2400;

/** Draws `roofline` and `growth`, each if there are rows for it. @returns paths of the files written */
export function writeFigures(folder: string, adapter: string, ceilings: Ceilings, rows: readonly Row[]): string[] {
  const document = createDocument();
  const figures: [name: string, svg: string][] = [];
  if (rows.some(({ roofline }) => roofline))
    figures.push(['roofline', rooflineFigure(adapter, ceilings, rows, document)]);
  if (rows.some(({ growth }) => growth)) figures.push(['growth', growthFigure(adapter, rows, document)]);
  mkdirSync(folder, { recursive: true });
  return figures.flatMap(([name, svg]) => {
    const [drawing, picture] = [join(folder, `${name}.svg`), join(folder, `${name}.png`)];
    writeFileSync(drawing, svg);
    writeFileSync(picture, svgToPng(svg, PNG_WIDTH));
    return [drawing, picture];
  });
}
