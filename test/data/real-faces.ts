import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const beside = fileURLToPath(new URL('../../../shared/data', import.meta.url));
const roots = [process.env.MIDAS_DATA, beside].filter((root) => root !== undefined);

/** The folder of the AT&T faces, or undefined (with a warning on the console) if they are absent. */
export const attFaces = roots
  .flatMap((root) => [`${root}/attfaces`, root])
  .find((dir) => existsSync(`${dir}/s1/1.pgm`));

if (attFaces === undefined) console.warn(`skipped: no AT&T faces in ${roots.join(' or ')}; set MIDAS_DATA`);
