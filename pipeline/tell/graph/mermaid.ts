import { arrowsOf, type Graph } from "../graph.ts";
import { looksOf, nodeWords, STATE_LOOKS } from "./look.ts";

/** Ink of names: boxes keep their light colors, whatever the page. */
const INK = "#1f2328";

/** A graph as the text of a Mermaid flowchart. */
export function mermaidText(graph: Graph): string {
  const nodes = graph.nodes.map((node, place) =>
    `  n${place}["${numbered(node.name)}<br/>${numbered(nodeWords(node))}"]:::${
      STATE_LOOKS[node.state].name
    }`
  );
  const arrows = arrowsOf(graph).map(({ from, to, inputs }) =>
    `  n${from} -->|"${numbered(inputs.join(", "))}"| n${to}`
  );
  const classes = looksOf(graph.nodes).map(({ name, fill, line }) =>
    `  classDef ${name} fill:${fill},stroke:${line},color:${INK}`
  );
  return `${["flowchart TD", ...nodes, ...arrows, ...classes].join("\n")}\n`;
}

/** Everything that may mean something to Mermaid or to HTML, as the number of its character. */
function numbered(text: string): string {
  return text.replaceAll(
    /[^\p{L}\p{N} _.,=?:()[\]-]/gu,
    (letter) => `#${letter.codePointAt(0)};`,
  );
}
