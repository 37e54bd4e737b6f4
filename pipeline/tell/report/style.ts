import { type Look, STATE_LOOKS } from "../graph/look.ts";

const LOOK_NAMES = [
  ...new Map(Object.values(STATE_LOOKS).map((look) => [look.name, look])).values(),
];

/** The page's own style; nothing is fetched, and screens may be light, dark, small or paper. */
export const STYLE = `
:root { color-scheme: light dark; --ink: #24292f; --quiet: #57606a; --ground: #ffffff;
  --raised: #f6f8fa; --line: #d0d7de; --link: #0550ae; --bad: #a40e26; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #d0d7de; --quiet: #9aa4af; --ground: #16181c; --raised: #1f2328;
    --line: #3b4048; --link: #79b8ff; --bad: #ff8f8a; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 1rem 1rem 4rem; color: var(--ink);
  background: var(--ground); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 1rem 0 0.5rem; }
h2 { font-size: 1.35rem; margin: 3rem 0 1rem; padding-bottom: 0.3rem;
  border-bottom: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 2rem 0 0.5rem; }
h4 { font-size: 0.95rem; margin: 1.25rem 0 0.4rem; color: var(--quiet); }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; list-style: none; padding: 0; }
nav a { display: inline-block; padding: 0.25rem 0; }
.lead { font-size: 1.1rem; margin: 0.25rem 0; }
.quiet { color: var(--quiet); margin: 0.25rem 0; }
.wide { overflow-x: auto; margin: 0.75rem 0; overflow-wrap: normal; }
table { border-collapse: collapse; font-size: 0.92rem; }
th, td { padding: 0.35rem 0.9rem 0.35rem 0; border-bottom: 1px solid var(--line);
  text-align: left; vertical-align: baseline; }
thead th { color: var(--quiet); font-weight: 600; vertical-align: bottom; }
tbody th, tfoot th { font-weight: 600; }
tfoot th, tfoot td { border-top: 2px solid var(--line); border-bottom: 0; font-weight: 600; }
.long { min-width: 12rem; max-width: 32rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
thead .number { white-space: normal; min-width: 4.5rem; }
dl { margin: 0.5rem 0; }
dl > div { display: grid; grid-template-columns: 11rem 1fr; gap: 0 1rem; padding: 0.2rem 0;
  border-bottom: 1px solid var(--line); }
dt { color: var(--quiet); }
dd { margin: 0; font-variant-numeric: tabular-nums; }
ul { padding-left: 1.2rem; margin: 0.5rem 0; }
.notes { display: grid; grid-template-columns: 11rem 1fr; gap: 0 1rem; align-items: baseline; }
.notes h3, .notes ul { margin: 0.25rem 0; }
.legend { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 0.4rem 1.5rem; }
.state { display: inline-block; padding: 0 0.55rem; border: 1px solid; border-radius: 1rem;
  font-size: 0.85rem; color: var(--ink); }
.warning, .failure { color: var(--bad); }
.failure { border-left: 4px solid var(--bad); padding: 0.25rem 0.75rem; margin: 0.75rem 0; }
figure { margin: 1rem 0 1.5rem; }
figcaption { color: var(--quiet); font-size: 0.9rem; }
figure svg { display: block; max-width: 100%; height: auto; }
.picture { display: block; width: 60rem; max-width: none; height: auto; }
.narrow { display: none; }
details { margin: 0.5rem 0; }
summary { cursor: pointer; color: var(--link); }
.step { border: 1px solid var(--line); border-radius: 0.5rem; padding: 0.6rem 1rem;
  background: var(--raised); }
.step > summary { color: var(--ink); }
.step > summary h3 { display: inline; margin: 0 0.5rem 0 0; }
.step > summary span:not(.state) { color: var(--quiet); margin-right: 0.5rem; }
pre { margin: 0; padding: 0.75rem; background: var(--raised); border: 1px solid var(--line);
  border-radius: 0.5rem; font-size: 0.85rem; width: max-content; min-width: 100%; }
${LOOK_NAMES.map(stateStyle).join("\n")}
@media screen and (prefers-color-scheme: dark) {
${LOOK_NAMES.map(({ name, dark }) => stateStyle({ name, ...dark })).join("\n")}
}
@media screen and (max-width: 44rem) {
  .roomy { display: none; }
  .narrow { display: block; }
  dl > div { grid-template-columns: 8.5rem 1fr; }
  .notes { grid-template-columns: 1fr; margin: 0.75rem 0; }
  th, td { padding-right: 0.6rem; }
  h1 { font-size: 1.4rem; }
  .picture { width: 44rem; }
}
@media print {
  .plot, .graph-drawing { color: var(--ink) !important; }
  body { max-width: none; padding: 0; }
  nav { display: none; }
  .wide { overflow: visible; }
  .picture, .graph-drawing { max-width: 100%; height: auto; }
  figure, tr, dl > div { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
}
`;

function stateStyle({ name, fill, line }: Pick<Look, "name" | "fill" | "line">): string {
  return `.state.${name} { background: ${fill}; border-color: ${line}; }`;
}
