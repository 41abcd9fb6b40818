/** The style of the report: light and dark by the reader's system, one column on phones, A4 on paper. */
export const REPORT_STYLE = `
:root { --paper: #ffffff; --ink: #1a1a1a; --soft: #5a5a5a; --line: #dcdcdc; --card: #f6f6f4; --accent: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181b; --ink: #e8e8e6; --soft: #a8abb0; --line: #36393e; --card: #1f2226; --accent: #56b4e9; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 Inter, system-ui, 'Helvetica Neue', Arial, sans-serif; }
header, main { max-width: 1120px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 48px; }
main { padding-bottom: 80px; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 12px; text-wrap: balance; }
h2 { font-size: 1.3rem; margin: 48px 0 12px; padding-top: 20px; border-top: 1px solid var(--line); }
p, li { max-width: 78ch; }
.lede, .note, figcaption { color: var(--soft); }
.note, figcaption { font-size: 0.9rem; }
.answer { font-size: 1.25rem; line-height: 1.4; font-weight: 500; margin: 0 0 12px; }
header h1 + .answer { margin-top: 20px; }
code, pre { font: 0.88em/1.5 ui-monospace, 'SF Mono', Menlo, Consolas, monospace; overflow-wrap: anywhere; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 16px; white-space: pre-wrap; }
figure { margin: 0 0 36px; }
.picture { background: #ffffff; border: 1px solid var(--line); border-radius: 10px; overflow-x: auto; }
.picture > svg { display: block; max-width: 100%; min-width: 640px; height: auto; margin: 0 auto; }
.curve > svg { min-width: 0; }
.faces { display: grid; gap: 12px; }
.faces > div { display: grid; grid-template-columns: 200px 1fr; gap: 16px; align-items: center; }
.faces p { margin: 0; line-height: 1.3; }
.faces b { display: block; font-weight: 600; }
.faces p span { color: var(--soft); font-size: 0.9rem; }
.strip { display: grid; grid-template-columns: repeat(var(--faces), 1fr); gap: 6px; }
.strip img, .strip .lost { width: 100%; border-radius: 3px; display: block; }
.strip .lost { background: var(--card); border: 1px solid var(--line); aspect-ratio: 1; font-size: 0.7rem; color: var(--soft); }
.verdict { width: 100%; font-size: 0.95rem; }
.verdict td { white-space: normal; }
abbr { text-decoration-color: var(--line); cursor: help; }
figcaption { margin: 10px 4px; max-width: 90ch; }
details { margin: 8px 0; }
summary { cursor: pointer; color: var(--accent); width: fit-content; }
summary:focus-visible, .scroll:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
.scroll { overflow: auto; max-height: 70vh; margin: 10px 0; }
table { border-collapse: collapse; font-size: 0.88rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 14px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { white-space: nowrap; }
th { font-weight: 500; }
tbody th { min-width: 14em; }
thead th { font-weight: 600; position: sticky; top: 0; background: var(--paper); }
dl { margin: 0; }
dl > div { display: grid; grid-template-columns: 150px 1fr; gap: 12px; padding: 4px 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 640px) {
  header, main { padding: 0 16px; }
  header { padding-top: 24px; }
  h1 { font-size: 1.5rem; }
  .faces > div { grid-template-columns: 1fr; gap: 6px; }
  .strip { grid-template-columns: repeat(min(var(--faces), 6), 1fr); gap: 4px; }
  .strip :nth-child(n + 7) { display: none; }
  .verdict thead { display: none; }
  .verdict, .verdict tbody, .verdict tr, .verdict th, .verdict td { display: block; }
  .verdict tr { border-bottom: 1px solid var(--line); padding: 8px 0; }
  .verdict th, .verdict td { border: 0; padding: 2px 0; }
  .verdict td:not(:empty)::before { content: attr(data-column) ': '; color: var(--soft); }
  dl > div { grid-template-columns: 1fr; gap: 0; }
}
@page { size: A4; margin: 14mm; }
@media print {
  :root { --paper: #ffffff; --ink: #000000; --soft: #444444; --line: #bbbbbb; --card: #f6f6f4; --accent: #0072b2; }
  body { font-size: 10pt; }
  header, main { padding: 0; max-width: none; }
  h2 { margin: 20px 0 8px; padding-top: 10px; break-after: avoid; }
  .scroll { max-height: none; overflow: visible; }
  table { font-size: 7.5pt; }
  td { white-space: normal; }
  tbody th { min-width: 9em; }
  th, td { padding: 3px 8px 3px 0; }
  thead th { position: static; }
  .verdict { font-size: 9.5pt; }
  .picture { overflow: visible; }
  .picture > svg { min-width: 0; }
  .curve > svg { max-width: 85mm; }
  .faces { gap: 1.5mm; }
  .faces > div { grid-template-columns: 60mm 112mm; gap: 4mm; }
  .faces p, .note, figcaption { font-size: 8.5pt; }
  figure, tr { break-inside: avoid; }
  details:not([open]) { display: none; }
}
`;
