import * as stages from "../../support/toy/stages.ts";
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { arrowsOf, type Graph, graphOf } from "../../../pipeline/tell/graph.ts";
import { dotText, graphSvg } from "../../../pipeline/tell/graph/svg.ts";
import { mermaidText } from "../../../pipeline/tell/graph/mermaid.ts";
import { parseManifest } from "../../../pipeline/manifest/read_manifest.ts";
import { run } from "../../../pipeline/run/runner.ts";
import { Store } from "../../../pipeline/store/store.ts";
import { type Called, callProgram } from "../../support/cli_call.ts";
import { assertWellFormed } from "../../support/svg_check.ts";

const GRAPH = graphOf([
  { name: "one", stage: "constant", state: "hit", seconds: 75, inputs: {} },
  {
    name: 'smoothed[alpha=0.3,site="a|b"]',
    stage: "add",
    state: "run?",
    inputs: { a: "one", b: "one" },
  },
  {
    name: "<all> & \\rest;",
    stage: "total",
    state: "hit (remote)",
    reason: "made <before>",
    inputs: { all: ["one", 'smoothed[alpha=0.3,site="a|b"]', "one"] },
  },
]);

const MANIFEST = `
params: { value: 3 }
steps:
  one: { stage: constant, with: { value: "\${value}" } }
  two: { stage: add, from: { a: one, b: one } }
  all: { stage: total, from: { all: [one, two] } }
  lost: { stage: read, with: { path: /nowhere/at/all } }
  behind: { stage: add, from: { a: lost } }
`;

Deno.test("a graph's edges name their inputs, and a list counts a step once a drawing", () => {
  strictEqual(GRAPH.edges.length, 5);
  deepStrictEqual(GRAPH.edges[1], { from: "one", to: GRAPH.nodes[1]?.name, input: "b" });
  deepStrictEqual(arrowsOf(GRAPH), [
    { from: 0, to: 1, inputs: ["a", "b"] },
    { from: 0, to: 2, inputs: ["all"] },
    { from: 1, to: 2, inputs: ["all"] },
  ]);
});

Deno.test("Mermaid text keeps brackets, and numbers the letters that mean something to it", () => {
  strictEqual(
    mermaidText(GRAPH),
    `flowchart TD
  n0["one<br/>constant, hit, 1 min 15 s"]:::hit
  n1["smoothed[alpha=0.3,site=#34;a#124;b#34;]<br/>add, run?"]:::maybe
  n2["#60;all#62; #38; #92;rest#59;<br/>total, hit (remote)"]:::remote
  n0 -->|"a, b"| n1
  n0 -->|"all"| n2
  n1 -->|"all"| n2
  classDef hit fill:#ddf4ff,stroke:#0969da,color:#1f2328
  classDef maybe fill:#fff8c5,stroke:#9a6700,color:#1f2328
  classDef remote fill:#ddf4ff,stroke:#0969da,color:#1f2328
`,
  );
});

Deno.test("dot text escapes quotes, backslashes and entities", () => {
  const lines = dotText(GRAPH).split("\n").filter((line) => /^ {2}n\d/.test(line));
  deepStrictEqual(lines, [
    '  n0 [label="one\\nconstant, hit, 1 min 15 s" class="hit" fillcolor="#ddf4ff" color="#0969da"]',
    '  n1 [label="smoothed[alpha=0.3,site=\\"a|b\\"]\\nadd, run?" class="maybe" fillcolor="#fff8c5" color="#9a6700"]',
    '  n2 [label="<all> &amp; \\\\rest;\\ntotal, hit (remote)" class="remote" fillcolor="#ddf4ff" color="#0969da"]',
    '  n0 -> n1 [label=" a, b "]',
    '  n0 -> n2 [label=" all "]',
    '  n1 -> n2 [label=" all "]',
  ]);
});

Deno.test("an SVG graph is well-formed, says every name as it is, and asks no host", async () => {
  const svg = await graphSvg(GRAPH);
  assertWellFormed(svg);
  const texts = [...svg.matchAll(/<text [^>]*>([^<]*)</g)].map(([, text]) => unescape(text ?? ""));
  for (const { name } of GRAPH.nodes) ok(texts.includes(name), `${name} in ${texts}`);
  ok(texts.includes("add, run?"));
  const titles = [...svg.matchAll(/<title>([^<]*)</g)].map(([, text]) => unescape(text ?? ""));
  ok(titles.includes(`${GRAPH.nodes[2]?.name}: total, hit (remote): made <before>`), `${titles}`);
  ok(titles.includes(`one → ${GRAPH.nodes[1]?.name}`));
  strictEqual(svg.match(/class="edge"/g)?.length, 3);
  for (const name of ["hit", "maybe", "remote"]) match(svg, new RegExp(`class="node ${name}"`));
  const hosts = svg.replaceAll('xmlns="http://www.w3.org/2000/svg"', "");
  ok(!/https?:|href|<image|@import|url\(/.test(hosts));
  strictEqual(await graphSvg(GRAPH), svg, "the same graph gives the same bytes");
});

Deno.test("`graph` tells states, keys, kinds and seconds of what is there", () =>
  withProject(async (directory, call) => {
    const store = new Store(`${directory}/store`);
    const path = `${directory}/a.yaml`;
    const manifest = parseManifest(MANIFEST, { path, stages });
    const selected = new Set(["one", "two"]);
    await run(manifest, { store, stages, selected, tools: () => ({}), emit: () => {} });
    const { out, status } = await call("graph", path, "--format", "json");
    strictEqual(status, 0);
    const { type, nodes, edges } = JSON.parse(out) as Graph & { readonly type: string };
    strictEqual(type, "graph");
    deepStrictEqual(nodes.map(({ name, state }) => `${name} ${state}`), [
      "one hit",
      "two hit",
      "all run",
      "lost blocked",
      "behind blocked",
    ]);
    deepStrictEqual(edges.map(({ from, to, input }) => `${from} ${to} ${input}`), [
      "one two a",
      "one two b",
      "one all all",
      "two all all",
      "lost behind a",
    ]);
    const [one, , all, lost] = nodes;
    strictEqual(one?.kind, "number");
    match(one?.key ?? "", /^[0-9a-f]{64}$/);
    ok(one?.seconds !== undefined && one.seconds >= 0 && one.seconds < 5);
    match(all?.key ?? "", /^[0-9a-f]{64}$/);
    match(lost?.reason ?? "", /nowhere/);
  }));

Deno.test("`graph` takes its format from the file, and names the formats there are", () =>
  withProject(async (directory, call) => {
    const path = `${directory}/a.yaml`;
    const drawn = await call("graph", path, "--out", `${directory}/b.svg`);
    deepStrictEqual([drawn.status, drawn.out], [0, ""]);
    assertWellFormed(await Deno.readTextFile(`${directory}/b.svg`));
    const told = await call("graph", path, "--json");
    strictEqual(JSON.parse(told.out).type, "graph");
    match((await call("graph", path)).out, /^flowchart TD\n/);
    match((await call("graph", path, "--format", "dot")).out, /^digraph \{\n/);
    const wrong = await call("graph", path, "--format", "png");
    strictEqual(wrong.status, 2);
    match(wrong.errors, /^Cannot draw a graph as "png": expected one of mermaid, dot, svg, json\n/);
    const part = await call("graph", path, "--until", "two");
    match(part.out, /behind<br\/>add, skipped"\]:::skipped/);
  }));

async function withProject(
  use: (
    directory: string,
    call: (...args: readonly string[]) => Promise<Called>,
  ) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  const program = { stages, tools: () => ({}) };
  try {
    await Deno.writeTextFile(`${directory}/a.yaml`, MANIFEST);
    await use(
      directory,
      (...args) => callProgram(program, ...args, "--store", `${directory}/store`),
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function unescape(text: string): string {
  const letters: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"' };
  return text.replaceAll(
    /&(?:#(\d+)|(\w+));/g,
    (_, code, name) => code ? String.fromCodePoint(Number(code)) : letters[name] ?? "",
  );
}
