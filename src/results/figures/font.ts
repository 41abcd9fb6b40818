/** Embeds fonts in pictures, so that they look the same where the font is not installed. */
import { subsetTrueType } from '../../formats/truetype.ts';
import { toBase64 } from './style.ts';

/** One weight of the font that figures use. */
export interface FontFile {
  readonly weight: number;
  /** A TrueType font. */
  readonly bytes: Uint8Array;
}

/** CSS rules that embed fonts, reduced to the characters of the given text. */
export function fontRules(fonts: readonly FontFile[], text: string): string {
  const characters = new Set(text);
  return fonts
    .map(({ weight, bytes }) => {
      const source = toBase64(subsetTrueType(bytes, characters, `Inter ${weight}`));
      return `@font-face{font-family:Inter;font-weight:${weight};src:url(data:font/ttf;base64,${source}) format('truetype')}`;
    })
    .join('');
}

/**
 * Embeds the fonts of its text in an SVG, reduced to the characters that it uses.
 *
 * @param fonts the weights that it may use; weights other than 400 are left out if the SVG does not use them
 */
export function embedFont(svg: string, fonts: readonly FontFile[]): string {
  const used = fonts.filter(({ weight }) => weight === 400 || svg.includes(`font-weight="${weight}"`));
  // Characters that the SVG contains as entities.
  const text = `&<>"'${Array.from(svg.matchAll(/>([^<]+)</g), ([, content]) => content).join('')}`;
  const style = `<style>${fontRules(used, text)}</style>`;
  // After the title, which screen readers expect first.
  return svg.replace(/<\/title>|(?<=^<svg[^>]*>)(?!<title>)/, (before) => `${before}${style}`);
}
