/** The letters of a picture inside of the picture: it looks the same where its font is not installed. */
import { subsetTrueType } from '../../formats/truetype.ts';
import { toBase64 } from './style.ts';

/** One weight of the font that figures use. */
export interface FontFile {
  readonly weight: number;
  /** A TrueType font. */
  readonly bytes: Uint8Array;
}

/** Style rules that bring a font for the given text, and nothing beyond its letters. */
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
 * An SVG with the letters of its text inside.
 *
 * @param fonts the weights that it may use; those that it does not use are left out
 */
export function embedFont(svg: string, fonts: readonly FontFile[]): string {
  const used = fonts.filter(({ weight }) => weight === 400 || svg.includes(`font-weight="${weight}"`));
  // What is written as an entity is a letter of its own.
  const text = `&<>"'${Array.from(svg.matchAll(/>([^<]+)</g), ([, content]) => content).join('')}`;
  const style = `<style>${fontRules(used, text)}</style>`;
  // Behind the title, which readers of screens want first.
  return svg.replace(/<\/title>|(?<=^<svg[^>]*>)(?!<title>)/, (before) => `${before}${style}`);
}
