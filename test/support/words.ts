/**
 * The check of words in `npm run check`: retired terms in code and prose, and titles of tests that are too short to tell,
 * alone in a log, what failed. Run by itself: `npx tsx test/support/words.ts`.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';

/** A term that is no longer used, and what to write instead. Identifiers are matched in their exact case. */
const RETIRED: readonly (readonly [term: RegExp, instead: string])[] = [
  [/\btwins?\b/i, 'reference (float64)'],
  [/\b(Sweep|Shallow|Deep)Subject\b/, 'Testbed or PreparedVictim'],
  [/\bhold\(place\b/, 'captureDraw(index)'],
  [/\bmap_table\b/, 'fault_table'],
  [/\bFaultMap\b/, 'FaultSampler or FaultMapView'],
  [/\bMemoryStore\b/, 'InMemoryRunStore'],
  [/\binversion_(judge|step)\b/, 'mi_face_judge, mi_face_step'],
  [/\bkeep_\w+\.wgsl\b/, 'write_*.wgsl'],
  [/\bopen_read\b/, 'begin_read'],
  [/\bhandedOn\b/, 'onLayerOutput'],
  [/\bSIDES\b/, 'splits'],
  [/\bAttacked\b/, 'AttackTargets'],
  [/\bresidues?\b/i, 'stride classes'],
  [/\bmend(s|ed|ing)?\b/i, 'fix'],
  [/\breckon(s|ed|ing)?\b/i, 'compute'],
  [/\bwhoever\b/i, 'any caller'],
  [/\bbec(o|a)mes? of\b/i, 'happens to'],
  [/\bhand(s|ed|ing)? on\b/i, 'output'],
  [/\bat once\b/i, 'together, simultaneously or immediately'],
  [/\bbesides\b/i, 'also'],
  [/\bthereby\b/i, 'so'],
];

/** Ends of names of files that people read as text. */
const TEXTS = ['.ts', '.wgsl', '.md', '.html', '.css'];

/** The findings in one file, as lines `path:line: message`. */
export function findings(path: string, text: string): string[] {
  const found = text
    .split('\n')
    .flatMap((line, index) =>
      RETIRED.filter(([term]) => term.test(line)).map(
        ([term, instead]) => `${path}:${index + 1}: "${term.exec(line)![0]}" is retired: ${instead}`,
      ),
    );
  return path.endsWith('.test.ts') ? [...found, ...shortTitles(path, text)] : found;
}

/** The titles of `describe`, `it` and `test` that have fewer than three words and more than a placeholder. */
function shortTitles(path: string, text: string): string[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && /^(describe|it|test)$/.test(calledName(node.expression))) {
      const title = node.arguments[0];
      if (title && (ts.isStringLiteralLike(title) || ts.isTemplateExpression(title))) {
        const words = title.getText(file).slice(1, -1).trim();
        const { line } = file.getLineAndCharacterOfPosition(node.getStart(file));
        if (!/^[$%]\w+$/.test(words) && words.split(/\s+/).length < 3) {
          found.push(`${path}:${line + 1}: the title "${words}" has fewer than three words`);
        }
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

/** `it` for `it(...)`, `it.each(...)(...)` and `it.skipIf(...).each(...)(...)`. */
function calledName(callee: ts.Expression): string {
  if (ts.isIdentifier(callee)) return callee.text;
  if (ts.isPropertyAccessExpression(callee) || ts.isCallExpression(callee)) return calledName(callee.expression);
  return '';
}

function textsUnder(path: string): string[] {
  if (!statSync(path).isDirectory()) return TEXTS.includes(extname(path)) ? [path] : [];
  const names = readdirSync(path).filter((name) => name !== 'node_modules');
  return names.flatMap((name) => textsUnder(join(path, name)));
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const paths = ['README.md', 'CHANGELOG.md', 'bench', 'data', 'shaders', 'src', 'test'].flatMap(textsUnder);
  const own = [join('test', 'support', 'words.ts'), join('test', 'support', 'words.test.ts')];
  const found = paths
    .filter((path) => !own.includes(path))
    .flatMap((path) => findings(path, readFileSync(path, 'utf8')));
  for (const line of found) console.error(line);
  if (found.length > 0) process.exitCode = 1;
}
