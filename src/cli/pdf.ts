/**
 * Converts figures to PDF, with text that can be selected and searched. pdfkit is maintained, needs no browser, and embeds
 * only the letters that are used. svg-to-pdfkit, unlike svg2pdf.js, does not need a DOM that lays out text.
 */

import { JSDOM } from 'jsdom';
import PDFDocument from 'pdfkit';
import svgToPdfkit from 'svg-to-pdfkit';
import { DataError } from '../errors.ts';
import { subsetTrueType } from '../formats/truetype.ts';
import { figureFonts } from './render.ts';

/** Points per pixel: PDF measures in points of 1/72 inch, SVG in pixels of 1/96 inch. */
const POINTS = 72 / 96;

/** A constant date of creation, so that the same figure gives the same bytes. */
const NO_DATE = new Date(0);

/**
 * Converts an SVG to a PDF of one page, as large as the figure.
 *
 * @param title for the properties of the file and for error messages
 * @throws DataError if the text is not an SVG with a width and a height
 */
export async function svgToPdf(svg: string, title: string): Promise<Uint8Array> {
  const { window } = new JSDOM();
  const root = new window.DOMParser().parseFromString(svg, 'image/svg+xml').documentElement;
  const [width, height] = ['width', 'height'].map((name) => Number(root.getAttribute(name)));
  if (root.localName !== 'svg' || !(width > 0 && height > 0)) {
    throw new DataError(`${title}: not an SVG with a width and a height`);
  }
  // svg-to-pdfkit distinguishes only bold and not bold, so every weight becomes a font family of its own.
  const weights = figureFonts();
  for (const element of root.querySelectorAll('[font-weight]')) {
    const wanted = Number(element.getAttribute('font-weight'));
    const { weight } = weights.reduce((a, b) => (Math.abs(b.weight - wanted) < Math.abs(a.weight - wanted) ? b : a));
    element.setAttribute('font-family', String(weight));
  }
  const page: [number, number] = [width * POINTS, height * POINTS];
  const document = new PDFDocument({ size: page, margin: 0, info: { Title: title, CreationDate: NO_DATE } });
  const chunks: Uint8Array[] = [];
  const ended = new Promise<void>((resolve, reject) => {
    document.on('data', (chunk: Uint8Array) => chunks.push(chunk));
    document.on('end', resolve);
    document.on('error', reject);
  });
  // No kerning, as in the SVG: with kerning, a decimal point before a 1 can hardly be seen in small type.
  const letters = root.textContent ?? '';
  for (const { weight, bytes } of weights) {
    document.registerFont(String(weight), Buffer.from(subsetTrueType(bytes, letters, `Inter ${weight}`)));
  }
  svgToPdfkit(document, new window.XMLSerializer().serializeToString(root), 0, 0, {
    width: page[0],
    height: page[1],
    fontCallback: (family) => (weights.some(({ weight }) => String(weight) === family) ? family : '400'),
    warningCallback: () => {},
  });
  document.end();
  await ended;
  return new Uint8Array(Buffer.concat(chunks));
}
