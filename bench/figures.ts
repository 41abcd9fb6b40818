/** Writes the figures of a run, each as SVG and as PNG. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createDocument, svgToPng } from '../src/cli/render.ts';
import { growthFigure } from './growth_figure.ts';
import { type Ceilings, rooflineFigure } from './roofline.ts';
import type { Row } from './rows.ts';

/** Pixels of a PNG: twice the figure's own, for screens that have them. */
const PNG_WIDTH = 2400;

/** Draws what there are rows for: `roofline` and `growth`. @returns the files written */
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
